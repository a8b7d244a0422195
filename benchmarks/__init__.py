"""What the hot paths cost. Figures are for reading and comparing, never for a test to pass or fail by."""
