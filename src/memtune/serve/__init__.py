"""The server: memories over HTTP, as the OpenAI and Lamini APIs and as an API of facts.

`house.py` holds what a server has and knows nothing of HTTP; `http/` is the application, its guards and its errors;
`openai/`, `lamini/` and `facts/` are the routes, thin translations between a protocol and the house.
"""
