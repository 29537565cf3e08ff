"""What training writes: TensorBoard, history, throughput, feature maps."""
