"""pb_utils.ModelConfig: what auto_complete_config may change."""
import json


class ModelConfig:
    def __init__(self, text):
        self._model_config = json.loads(text)

    def _text(self):
        return json.dumps(self._model_config)

    def as_dict(self):
        return self._model_config

    def set_max_batch_size(self, max_batch_size):
        """Keeps what the configuration says when it is smaller than 2 or what the model can do; refuses more."""
        config = self._model_config
        if config["max_batch_size"] > max_batch_size:
            raise ValueError(
                "configuration specified max_batch_size %d, but in auto-complete-config function for model '%s' specified max_batch_size %d"
                % (config["max_batch_size"], config["name"], max_batch_size))
        config["max_batch_size"] = max_batch_size

    def set_dynamic_batching(self):
        config = self._model_config
        scheduler = next((each for each in ("sequence_batching", "ensemble_scheduling") if each in config), None)
        if scheduler:
            raise ValueError("Configuration specified scheduling_choice as '%s', but auto-complete-config function for model '%s' tries to "
                             "set scheduling_choice as 'dynamic_batching'" % (scheduler, config["name"]))
        config.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, transaction_policy_dict):
        name = self._model_config["name"]
        wrong = [key for key in transaction_policy_dict if key != "decoupled"]
        if wrong:
            raise ValueError("transaction policy property '%s' of model '%s' is unknown: only 'decoupled' is" % (wrong[0], name))
        if "decoupled" not in transaction_policy_dict:
            return
        wanted = transaction_policy_dict["decoupled"]
        policy = self._model_config.setdefault("model_transaction_policy", {})
        if policy.get("decoupled", wanted) and not wanted:
            raise ValueError("trying to change decoupled property in auto-complete-config for model '%s', which is already set to 'True'."
                             % name)
        policy["decoupled"] = wanted

    def add_input(self, input):
        self._add("input", input, ("name", "data_type", "dims", "optional"))

    def add_output(self, output):
        self._add("output", output, ("name", "data_type", "dims"))

    def _add(self, kind, tensor, known):
        name = self._model_config["name"]
        for key in tensor:
            if key not in known:
                raise ValueError("%s '%s' in auto-complete-config function for model '%s' contains property '%s', which is none of %s"
                                 % (kind, tensor.get("name", ""), name, key, ", ".join(known)))
        for key in ("name", "data_type", "dims"):
            if key not in tensor:
                raise ValueError("%s '%s' in auto-complete-config function for model '%s' is missing '%s' property."
                                 % (kind, tensor.get("name", ""), name, key))
        tensors = self._model_config.setdefault(kind, [])
        for each in tensors:
            if each["name"] == tensor["name"]:
                self._match(kind, each, tensor)
                return
        added = dict(tensor)
        added["dims"] = list(tensor["dims"])
        tensors.append(added)

    def _match(self, kind, own, given):
        """the configuration's word stands; what the model says must agree"""
        name = self._model_config["name"]
        if own.get("data_type", "TYPE_INVALID") not in ("TYPE_INVALID", given["data_type"]):
            raise ValueError("unable to load model '%s', configuration expects datatype %s for %s '%s', model provides %s"
                             % (name, own["data_type"], kind, given["name"], given["data_type"]))
        own["data_type"] = given["data_type"]
        dims, wanted = own.get("dims") or [], list(given["dims"])
        if dims and (len(dims) != len(wanted) or any(int(a) != b and -1 not in (int(a), b) for a, b in zip(dims, wanted))):
            raise ValueError("unable to load model '%s', configuration expects %s '%s' with dims %s, model provides %s"
                             % (name, kind, given["name"], [int(each) for each in dims], wanted))
        own["dims"] = dims or wanted
        if "optional" in given and not own.get("optional"):
            own["optional"] = given["optional"]


def _named(config, kind, name):
    for each in config.get(kind, []):
        if each["name"] == name:
            return each
    return None


def get_input_config_by_name(model_config, name):
    return _named(model_config, "input", name)


def get_output_config_by_name(model_config, name):
    return _named(model_config, "output", name)


def using_decoupled_model_transaction_policy(model_config):
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled", False))


