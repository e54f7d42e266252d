"""What tests share: sample messages, simulated engines, worlds of real processes and sockets."""
