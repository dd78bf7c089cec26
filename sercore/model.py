"""`AttributeModel`: the network of a run, with pretrained encoders."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from transformers import AutoConfig

from sercore import ge2e
from sercore.cache import model_digest
from sercore.hub import encoder_config, pretrained
from sercore.network.model import AttributeConfig, AttributeNetwork
from sercore.params import Params, ParamsError

AutoConfig.register(AttributeConfig.model_type, AttributeConfig)  # so that no code of a published model is run


class AttributeModel(AttributeNetwork):
    """`AttributeNetwork` whose encoders come from where `sercore.hub` finds them; a frozen speech encoder is not saved
    again."""

    fetch = staticmethod(pretrained)

    def __init__(self, config: AttributeConfig) -> None:
        super().__init__(config)
        if not config.speech["finetune"]:
            self.leave_out("speech.transformer.", "speech.front_end.")

    @classmethod
    def from_params(cls, params: Params, speakers: int, scale: tuple[float, float]) -> Self:
        """A model with pretrained encoders and new heads, for so many `speakers` and a corpus's `scale` of attributes;
        `ParamsError` if an encoder cannot be loaded.
        """
        model = cls(cls.configured(params, speakers, scale))
        for name, encoder in model.encoders().items():
            pretrained(encoder.load_pretrained, getattr(params, name).encoder)
        if not params.speech.finetune:
            model.config.encoder_digest = model_digest(model.speech.frozen)
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
        return config

    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Self:
        """As of `AttributeNetwork`, but a run's frozen speech encoder is taken from where it was; `ParamsError` if that
        is another one."""
        model = super().from_pretrained(*arguments, **options)
        if digest := model.config.encoder_digest:
            pretrained(model.speech.load_pretrained, name := model.config.speech["encoder"])
            if model_digest(model.speech.frozen) != digest:
                problem = f"encoder {name!r} is not the one with which the model was trained"
                raise ParamsError(f"{problem}: restore it, or train again.")
        return model


def require_finite(predictions: NDArray, where: str) -> None:
    """Raise `ParamsError`, which says `where`, unless all predictions (utterances, 3) are numbers."""
    lost = ~np.isfinite(predictions).all(axis=1)
    if lost.any():
        problem = f"{where} predicts NaN for {lost.sum()} of {len(lost)} utterances, since its training diverged"
        raise ParamsError(f"{problem}: lower training.learning_rate, or set training.precision to float32.")
