"""How fast this project and its peers train."""
