"""`AttributeModel`: the network of a run, with pretrained encoders."""

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from transformers import AutoConfig

from sercore import InputError, ge2e
from sercore.cache import model_digest
from sercore.disk import complete
from sercore.hub import encoder_config, pretrained
from sercore.network.encoders import Encoder
from sercore.network.model import AttributeConfig, AttributeNetwork
from sercore.params import Params, ParamsError

AutoConfig.register(AttributeConfig.model_type, AttributeConfig)  # so that no code of a published model is run


class AttributeModel(AttributeNetwork):
    """`AttributeNetwork` whose encoders come from where `sercore.hub` finds them; what is frozen is not saved again."""

    fetch = staticmethod(pretrained)

    @classmethod
    def from_params(cls, params: Params, speakers: int, scale: tuple[float, float]) -> Self:
        """A model with pretrained encoders and new heads, for so many `speakers` and a corpus's `scale` of attributes;
        `ParamsError` if an encoder cannot be loaded."""
        model = cls(cls.configured(params, speakers, scale))
        for name, encoder in model.encoders().items():
            pretrained(encoder.load_pretrained, getattr(params, name).encoder)
            if source := model.config.frozen.get(name):
                source["revision"] = getattr(encoder.config, "_commit_hash", None)
                source["digest"] = _borrowed_digest(encoder)
        return model

    @staticmethod
    def configured(params: Params, speakers: int, scale: tuple[float, float]) -> AttributeConfig:
        """The configuration of such a model, for which no weights are read."""
        sections = params.model_dump(mode="json", include={"speech", "text", "heads", "loss"})
        config = AttributeConfig(**sections, speakers=speakers, scale=scale)
        config.encoders = {"speech": encoder_config(params.speech.encoder).to_dict()}
        if params.text:
            text = encoder_config(params.text.encoder)
            config.text_width = text.hidden_size
            config.encoders |= {"text": text.to_dict()} if params.text.finetune else {}
        if params.speaker:
            config.speaker_width = ge2e.WIDTH
            if (name := params.speaker.encoder) != ge2e.NAME:  # `SpeakerEncoder` refuses a model without x-vectors
                config.speaker_width = getattr(encoder_config(name), "xvector_output_dim", 0)
        sections = {name: getattr(params, name) for name in config.encoders}
        unsaved = {name: each for name, each in sections.items() if each.lora or not each.finetune}
        config.frozen = {name: {"encoder": each.encoder} for name, each in unsaved.items()}
        return config

    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Self:
        """As of `AttributeNetwork`; `ParamsError` if weights are missing, or an encoder is not that of the training."""
        try:
            model = super().from_pretrained(*arguments, **options)
        except InputError:
            raise
        except ValueError as error:
            problem = f"the model in {arguments[0]} is damaged or of another version ({' '.join(str(error).split())})"
            raise ParamsError(f"{problem}: remove it, and train or export it again.") from None
        for name, source in model.config.frozen.items():
            if source.get("digest") not in (None, _borrowed_digest(getattr(model, name))):
                problem = f"encoder {source['encoder']!r} is not the one with which the model was trained"
                raise ParamsError(f"{problem}: restore it, or train again.")
        return model


def make_whole(folder: Path) -> None:
    """Add to a saved model the weights of its frozen encoders, without which it then loads; errors as it is loaded."""
    model = AttributeModel.from_pretrained(folder)
    model.config.frozen, model._keys_to_ignore_on_save = {}, None
    complete(folder, model.save_pretrained, room(model, checkpoints=0), replace=True)


def _borrowed_digest(encoder: Encoder) -> str:
    return model_digest(encoder.borrowed() if encoder.finetune else encoder.frozen)


def room(model: AttributeModel, checkpoints: int = 3) -> float:
    """Bytes, about, of a saved model and so many checkpoints: one is written while two are kept, each with the model
    and AdamW's two moments of what is trained."""
    borrowed = model.borrowed()
    saved = sum(value.nbytes for name, value in model.state_dict().items() if name not in borrowed)
    trained = sum(value.nbytes for value in model.parameters() if value.requires_grad)
    return saved + checkpoints * (saved + 2 * trained)


def require_finite(predictions: NDArray, where: str) -> None:
    """Raise `ParamsError`, which says `where`, unless all predictions (utterances, 3) are numbers."""
    lost = ~np.isfinite(predictions).all(axis=1)
    if lost.any():
        problem = f"{where} predicts NaN for {lost.sum()} of {len(lost)} utterances, since its training diverged"
        raise ParamsError(f"{problem}: lower training.learning_rate, or set training.precision to float32.")
