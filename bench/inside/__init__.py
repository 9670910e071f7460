"""Programs that the bench puts into the guest; nothing of them is part of the product."""
