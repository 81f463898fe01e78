"""Flax building blocks: stacks, latents, dropout."""
