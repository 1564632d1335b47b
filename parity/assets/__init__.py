"""What is explained: models, their weights, inputs and the preprocessing that goes between."""
