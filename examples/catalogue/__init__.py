"""A catalogue of the files of a folder. What is shown depends on the user, what may be done too."""
