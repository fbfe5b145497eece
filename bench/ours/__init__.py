"""This package's verbs as commands: the core, without Airflow's start-up of some seconds.

Each is a module, which imports what its verb needs and no more, as a task does.
"""
