"""How the router's shipped tables were made."""
