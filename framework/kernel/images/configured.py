"""The kernel at hand that a patch series' name such as Base or No-Mapcount means.

A name (`configurations`) stands for the policy that models such kernels. The kernel is one that this policy claims to
model: its release and its own configuration say so, not its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.images.store import Image, version_key
from foliolab.framework.plugins.configurations import Configuration
from foliolab.framework.plugins.registry import Registry


def configuration(name: str, registry: Registry) -> Configuration | None:
    """The configuration that a user's name means; None if it is the name of none."""
    return next((one for one in registry.configurations() if one.called(name)), None)


def configured(wanted: Configuration, registry: Registry, there: Sequence[Image]) -> Image:
    """The kernel at hand that a configuration means, under the configuration's name.

    Of several, one that was built here comes first, because the kernels that are built here differ in little else;
    then the newest.

    Args:
        there: the kernels at hand.

    Raises:
        KernelError: none of them is known to be one.
    """
    models = registry.policy(wanted.policy).policy.models
    fitting = [image for image in there if image.kernel.behaves_as(models)]
    if not fitting:
        unknown = [one.name for one in there if models and one.kernel.may_behave_as(models)]
        what = f"{wanted.policy} models: {models.description}" if models else f"{wanted.policy} models"
        beside = f"; the configurations of {', '.join(unknown)} are unknown" if unknown else ""
        raise KernelError(f"no kernel at hand is known to be {wanted.name}, which {what}{beside}", f"`{wanted.get}`")
    chosen = max(fitting, key=lambda image: (image.built, version_key(image.name)))
    return replace(chosen, name=wanted.name)


def difference(one: Image, other: Image) -> str:
    """What two kernels differ in besides what they are compared for, in a sentence."""
    if one.options is None or other.options is None:
        options = "options that are not known"
    else:
        count = sum(one.options.get(name) != other.options.get(name) for name in {*one.options, *other.options})
        options = "1 option" if count == 1 else f"{count:,} options"
    releases = "" if one.kernel.version == other.kernel.version else f"releases ({one.release}, {other.release}) and "
    return f"{one.name} and {other.name} differ in {releases}{options}: whole kernels are compared"
