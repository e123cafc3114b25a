"""Pure array functions that several plugins share."""
