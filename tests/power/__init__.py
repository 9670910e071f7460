"""Tests of `terrible.power`: pure tables, a made sysfs tree, and the helper as a real process."""
