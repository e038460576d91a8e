"""A recipe's sections, a file each; ``sdar_cli.recipe.schema`` puts them together."""
