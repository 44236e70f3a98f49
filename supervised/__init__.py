"""Classifiers whose attention is supervised: data sets, backbones, methods, training, tables."""
