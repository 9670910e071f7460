"""What `terrible check` looks at, one file per group; each returns findings and changes nothing."""
