"""What is in an image of a card, and images made of images."""
