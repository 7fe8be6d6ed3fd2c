"""The program: a file a subcommand; the only code that prints or exits."""
