"""How mail is told to a language model or a person: framed, escaped, and short enough."""
