"""bridge.yaml with the sections of all plug-ins. ``python -m app.configuration docs`` writes its reference."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from app.registry import REGISTRY
from shared.config import load
from shared.config.load import LoadedConfig
from shared.config.model import BridgeConfig, config_model
from shared.config.schema import write
from shared.core.plugins import Registry
from shared.mapping.mapper import Mapper
from shared.mapping.template_check import template_problem


def load_config(
    path: str | Path, settings: Mapping[str, str] | None = None, registry: Registry = REGISTRY
) -> LoadedConfig:
    """Read and validate a configuration file. See ``shared.config.load.load_config``."""
    return load.load_config(path, settings, registry, template_problem)


def parse_config(
    text: str,
    name: str = "bridge.yaml",
    settings: Mapping[str, str] | None = None,
    registry: Registry = REGISTRY,
) -> BridgeConfig:
    """The configuration of a file's text. See ``shared.config.load.parse_config``."""
    return load.parse_config(text, name, settings, registry, template_problem).config


def config_warnings(text: str, settings: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The warnings for a file's text. See ``shared.config.load.parse_config``."""
    return load.parse_config(text, "bridge.yaml", settings, REGISTRY, template_problem).warnings


def validate_config(data: Mapping[str, object], registry: Registry = REGISTRY) -> BridgeConfig:
    """The configuration of decoded content, without the checks that no single value shows. Raises ValidationError."""
    return config_model(registry).model_validate(data)


def mapper_of(config: BridgeConfig, registry: Registry = REGISTRY) -> Mapper:
    """Routes and fields, compiled."""
    return Mapper(config, registry)


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"), config_model(REGISTRY))
