"""The web application: screens (Reflex), HTTP routes (FastAPI) and the server that holds both on one port."""
