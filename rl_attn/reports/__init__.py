"""The report on a study, step by step.

collect    the study folder -> Study: tasks, methods, cells, and what is wrong with them
scores     one metric's numbers, by task, method and run; normalised
analysis   numbers -> tables of numbers (pandas), with their intervals and verdicts
curves     metrics.csv -> learning curves
tables     tables of numbers -> CSV, Markdown, LaTeX, HTML
style      one look for all figures; figures -> PNG, PDF, SVG
figures    the figures
agents     frame | mask | attention of trained agents (the one part that needs the games)
page       everything -> one page
"""
