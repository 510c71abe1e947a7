"""A trained captioner for other runtimes: SavedModel, ONNX, LiteRT, a web folder; and the way through onnxruntime."""
