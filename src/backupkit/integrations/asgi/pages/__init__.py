"""What people see, and what they may ask for: a module for each subject, with its addresses."""
