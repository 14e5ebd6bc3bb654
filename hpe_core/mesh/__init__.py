"""The head as a mesh: the model that ships with the dense network, meshes of faces, and pictures and files of them."""
