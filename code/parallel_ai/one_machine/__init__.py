"""Part one: every way in which one machine works on several things."""
