"""The report on a study, step by step.

collect     the study folder -> Study: tasks, methods, cells, and what is wrong with them
scores      one metric's numbers, by task, method and run; normalised
analysis    numbers -> tables of numbers (pandas), with their intervals and verdicts
curves      metrics.csv -> learning curves
content     tables of numbers -> tables for people
tables      a table for people as CSV, Markdown, LaTeX, and as cells of the page
style       one look for all figures; figures -> PNG, PDF, SVG
figures     the figures
gallery     pictures side by side
agents      frame | mask | attention of trained agents (the one part that needs the games)
comparison  all metrics over all tasks, and what limits the meaning of a verdict
assemble    everything in its order -> Report
page        Report -> one page
"""
