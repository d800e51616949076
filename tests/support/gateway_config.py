"""A configuration with the four public models of the mission, all behind one mock provider."""

PRICES = {  # USD per million tokens, input and output
    "gpt-4.1": ("3", "8"),
    "claude-sonnet-4.5": ("4", "15"),
    "gemini-2.5-flash": ("0.3", "2.5"),
    "deepseek-v3.2": ("0.1", "0.42"),
}

TASKS = {
    "high_quality_writing": "claude-sonnet-4.5",
    "code_generation": "gpt-4.1",
    "fast_summary": "gemini-2.5-flash",
    "batch_processing": "deepseek-v3.2",
    "creative_content": "gpt-4.1",
}
OTHERWISE = "gemini-2.5-flash"


def gateway_config(base_url, extra="", provider_options=""):
    lines = ["providers:", "  mock:", "    dialect: openai", f"    base_url: {base_url}", "    keys:", "      - env: MOCK_KEY"]
    lines += [f"    {line}" for line in provider_options.splitlines()]
    lines.append("public_models:")
    for name, (given, taken) in PRICES.items():
        lines += [f"  {name}:", f'    price: {{input: "{given}", output: "{taken}"}}', f"    targets: [{{provider: mock, model: {name}}}]"]
    lines += ["tasks:", "  rules:"] + [f"    {task}: {model}" for task, model in TASKS.items()] + [f"  otherwise: {OTHERWISE}"]
    return "\n".join(lines) + "\n" + extra


MOCK_ENV = {"MOCK_KEY": "sk-mock"}
