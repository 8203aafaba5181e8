"""What several chapters borrow."""
