"""What pages that people look at are made of: a frame of HTML, and pictures."""
