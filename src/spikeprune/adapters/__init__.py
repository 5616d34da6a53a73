"""The only room that knows spiking frameworks, apart from the zoo's neurons."""
