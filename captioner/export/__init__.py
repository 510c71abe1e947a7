"""Export a trained captioner as SavedModel, ONNX, LiteRT or a web folder; and run it on onnxruntime."""
