import mazewm

run = mazewm.load("rotary-all-0")  # one trained model, and what was measured on it
maze = run.mazes("test")[1]
print(maze)
new = ((1, 0), (1, 1))
before = run.solve(maze)
after = run.solve(maze, add=[new])  # the same prompt; one connection switched on inside
print(before.path == maze.path)
print(after.path, after.path == maze.add(*new).path)  # predicted from the edited maze
print(run.table("pairs")[["kind", "n_solved", "n_unique"]].head(3))  # a table
