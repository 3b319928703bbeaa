"""Use beyond recall: facts asked for in forms whose answer is not the stored string.

`world.py` invents the facts, `forms.py` asks for them, `right.py` judges, `measure.py` runs all arms. Beside it
`recitation.py`: is an answer recited where none was asked for, and does what stands around a question change it?
"""
