"""The instructor's side of *LLM Systems in notebooks*: builds lessons, proves their tests, grades a class."""
