"""How long the stages of one model take: what `hpe bench --model` measures."""
