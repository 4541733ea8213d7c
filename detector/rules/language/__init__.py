"""Expressions: lexer, parser, types, checker."""
