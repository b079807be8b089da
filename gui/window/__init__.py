"""What the window offers to its workspaces: the desk with its services, and the base class of a workspace."""
