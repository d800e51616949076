"""Writes a tiny random GGUF model that llama.cpp loads: architecture llama, 2 layers, 64 wide, byte tokens. Standard library only."""
import random
import struct
import sys

WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS = 64, 128, 4, 2, 2
BOS, EOS, BYTE0, VOCABULARY = 1, 2, 3, 300
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
ALIGNMENT = 32


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def padded(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def tiny_gguf(seed=7, context=256, chat_template=None):
    """The bytes of a whole file. The token of byte b is BYTE0 + b."""
    formats = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}
    keys, tensors, data = [], [], b""

    def key(name, kind, value):
        keys.append(text(name) + struct.pack("<I", kind) + (text(value) if kind == STRING else struct.pack(formats[kind], value)))

    def array(name, kind, values):
        packed = b"".join(text(v) if kind == STRING else struct.pack(formats[kind], v) for v in values)
        keys.append(text(name) + struct.pack("<IIQ", ARRAY, kind, len(values)) + packed)

    key("general.architecture", STRING, "llama")
    for name, value in (("context_length", context), ("embedding_length", WIDTH), ("block_count", LAYERS), ("feed_forward_length", HIDDEN),
                        ("attention.head_count", HEADS), ("attention.head_count_kv", KV_HEADS), ("vocab_size", VOCABULARY)):
        key("llama." + name, UINT32, value)
    key("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5)
    key("tokenizer.ggml.model", STRING, "llama")
    for name, value in (("bos", BOS), ("eos", EOS), ("unknown", 0)):
        key(f"tokenizer.ggml.{name}_token_id", UINT32, value)
    key("tokenizer.ggml.add_space_prefix", BOOL, False)
    words = [f"word{i}" for i in range(VOCABULARY - BYTE0 - 256)]
    array("tokenizer.ggml.tokens", STRING, ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + words)
    array("tokenizer.ggml.token_type", INT32, [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * len(words))
    array("tokenizer.ggml.scores", FLOAT32, [-float(i) for i in range(VOCABULARY)])
    if chat_template is not None:
        key("tokenizer.chat_template", STRING, chat_template)

    draw = random.Random(seed)

    def tensor(name, *dims, ones=False):
        nonlocal data
        count = 1
        for dim in dims:
            count *= dim
        tensors.append(text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", 0, len(data)))
        data += padded(struct.pack(f"<{count}f", *([1.0] * count if ones else (draw.uniform(-0.25, 0.25) for _ in range(count)))))

    kv_width = WIDTH // HEADS * KV_HEADS
    tensor("token_embd.weight", WIDTH, VOCABULARY)
    tensor("output_norm.weight", WIDTH, ones=True)
    tensor("output.weight", WIDTH, VOCABULARY)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        tensor(block + "attn_norm.weight", WIDTH, ones=True)
        for name, dims in (("attn_q", (WIDTH, WIDTH)), ("attn_k", (WIDTH, kv_width)), ("attn_v", (WIDTH, kv_width)), ("attn_output", (WIDTH, WIDTH))):
            tensor(f"{block}{name}.weight", *dims)
        tensor(block + "ffn_norm.weight", WIDTH, ones=True)
        for name, dims in (("ffn_gate", (WIDTH, HIDDEN)), ("ffn_up", (WIDTH, HIDDEN)), ("ffn_down", (HIDDEN, WIDTH))):
            tensor(f"{block}{name}.weight", *dims)

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    return padded(head + b"".join(keys) + b"".join(tensors)) + data


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as out:
        out.write(tiny_gguf())
