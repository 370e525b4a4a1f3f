"""The two loops: generator against discriminator (which also learns to judge places), then encoder and generator.

Both run under Lightning Fabric: one process, or many started by torchrun. Gradients are averaged by hand after each
backward pass, because a GAN runs its networks several times a step, which a wrapper such as DDP does not like. Every
step draws its random numbers from a seed made of the run's seed, the phase, the step and the rank: a run that was
killed and resumed is the run that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from anogan.config import Config
from anogan.gan import convergence, losses
from anogan.gan.augmentation import augment, perturb
from anogan.gan.convergence import Progress, Reading, Verdict
from anogan.gan.devices import make_fabric
from anogan.gan.inversion import residual_maps
from anogan.gan.local_fakes import blobs, local_fakes
from anogan.gan.networks import Discriminator, Networks
from anogan.gan.randomness import own_random_state
from anogan.gan.training.event import Callback, TrainingEvent
from anogan.gan.training.files import TrainingFolder
from anogan.storage import checkpoint

PHASES = ("adversarial", "encoder")
# What is learned, each by an optimizer of its own, and the network that learns it.
TASKS = {"generator": "generator", "images": "discriminator", "places": "discriminator", "encoder": "encoder"}
TAUGHT = {"adversarial": ("generator", "discriminator"), "encoder": ("generator", "encoder")}
FALL = 0.4  # share of a phase in which the learning rate falls


def _fast(x: Tensor) -> Tensor:
    """Lay images out with the channels last, which is what CPUs and GPUs convolve fastest."""
    return x.contiguous(memory_format=torch.channels_last)


class Trainer:
    """Holds what the loops change; `train` is its only user."""

    def __init__(
        self, train: Tensor, holdout: Tensor, config: Config, run: Path | None, callback: Callback | None, data: str
    ) -> None:
        self.config, self.callback = config, callback
        self.folder = TrainingFolder(run / "training", data) if run is not None else None
        self.fabric = make_fabric(config)
        self.fabric.launch()
        self.device = self.fabric.device
        self.train, self.holdout = train.to(self.device), holdout.to(self.device)
        torch.manual_seed(config.training.seed)
        self.networks = Networks.build(config)
        settings = config.training
        averaging = _average(settings.ema)
        self.averaged: dict[str, AveragedModel] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        for name, network in vars(self.networks).items():
            network.to(self.device, memory_format=torch.channels_last)
            self.averaged[name] = AveragedModel(network, multi_avg_fn=averaging)
        # The discriminator has two: the gradients of the game are large, and in shared moments they would shorten the
        # steps that teach places. beta1 = 0 for the game (R3GAN); the other tasks are ordinary ones and like some.
        for task, name in TASKS.items():
            betas = (0.0 if task in ("generator", "images") else 0.5, 0.99)
            parameters = getattr(self.networks, name).parameters()
            self.optimizers[task] = torch.optim.Adam(parameters, lr=settings.learning_rate, betas=betas)
        self.done = {"adversarial": 0, "encoder": 0}
        most = math.ceil(settings.epochs * len(self.train) / settings.batch)
        self.limits = {"adversarial": min(settings.steps, most), "encoder": settings.encoder_steps}
        self.totals = dict(self.limits)  # a phase that gets nowhere has fewer
        self.seconds = 0.0
        self.progress = Progress(self.train, self.holdout, config)
        self.readings: dict[str, list[Reading]] = {phase: [] for phase in PHASES}
        self.best: dict[str, dict[str, Tensor]] = {}  # averaged weights of the phase's best snapshot, by network

    # One step of each phase

    def adversarial(self) -> dict[str, Tensor]:
        """Teach the discriminator places; at every few steps also images, and the generator."""
        values = self._teach_places()
        if self.done["adversarial"] % self.config.training.adversarial_every == 0:
            values |= self._teach_images()
        return values

    def _teach_places(self) -> dict[str, Tensor]:
        """Show local fakes beside half as many untouched images: a local fake is itself mostly untouched."""
        batch = self.config.training.batch
        real = self._draw(batch // 2)
        fakes, mask = local_fakes(self._draw(batch), self.config.local_fakes)
        target = torch.cat([torch.zeros_like(mask[: batch // 2]), mask])
        with self.fabric.autocast():
            judged = self.networks.discriminator(_fast(torch.cat([real, fakes])))
        of_real, of_fakes = losses.pixel_loss(judged.pixels.float(), target).split([batch // 2, batch])
        self._update(("places",), self.config.local_fakes.weight * torch.cat([of_real, of_fakes]).mean())
        return {"places": of_fakes.mean()}

    def _teach_images(self) -> dict[str, Tensor]:
        """One update of the adversarial game; generated images and CutMix blobs are fake places too."""
        config, generator, discriminator = self.config, self.networks.generator, self.networks.discriminator
        half = config.training.batch // 2
        real = self._draw(half)
        seen = perturb(real, config.augmentation)
        with self.fabric.autocast():
            with torch.no_grad():
                generated = perturb(generator(self._latents(half)).float(), config.augmentation)
            # CutMix (Schönfeld et al. 2020): generated blobs in real images are fake in the blob.
            where = (blobs(half, seen.shape[-1], 0.2, 1.0, seen) > 0.5).to(seen)
            parts = torch.cat([seen, generated, torch.lerp(seen, generated, where)])
            judged = discriminator(_fast(parts))
            logits = judged.image[: 2 * half].float()
            adversarial = losses.discriminator_loss(logits[:half], logits[half:]).mean()
            penalty = losses.gradient_penalty(self._judge_image, parts[: 2 * half], logits).mean()
            target = torch.cat([torch.ones_like(where), where]).squeeze(1)
            places = losses.pixel_loss(judged.pixels[half:].float(), target).mean()
        loss = adversarial + config.training.penalty * penalty + config.training.generated_places * places
        self._update(("images",), loss)

        with self.fabric.autocast():
            generated = perturb(generator(self._latents(half)).float(), config.augmentation)
            with torch.no_grad():
                of_real = self._judge_image(perturb(real, config.augmentation))
            generator_loss = losses.generator_loss(of_real, self._judge_image(generated)).mean()
        self._update(("generator",), generator_loss)
        return {
            "discriminator": adversarial,
            "generator": generator_loss,
            "penalty": penalty,
            "generated places": places,
        }

    def encoder(self) -> dict[str, Tensor]:
        """Teach encoder and generator to draw the healthy counterpart of an image.

        The loss is f-AnoGAN's izi_f (pixels and discriminator features) with two changes: half of the images the
        encoder sees carry local fakes, and the counterpart is compared with the image before; and the generator learns
        too, because the few updates the game could afford leave it soft.
        """
        generator, encoder = self.networks.generator, self.networks.encoder
        discriminator = cast(Discriminator, self.averaged["discriminator"].module)
        half = self.config.training.batch // 2
        x = self._draw(2 * half)
        fakes, _ = local_fakes(x[half:], self.config.local_fakes)
        z = self._latents(half)
        with self.fabric.autocast():
            guess = encoder(_fast(torch.cat([x[:half], fakes])))
            pixels, features = residual_maps(x, generator(guess), discriminator)
            with torch.no_grad():
                generated = generator(z)
            latent = (encoder(generated).float() - z).square().mean()
            loss = pixels.mean() + features.mean() + 0.1 * latent
        self._update(("encoder", "generator"), loss)
        return {"residual": pixels.mean(), "feature residual": features.mean(), "latent": latent}

    def _judge_image(self, x: Tensor) -> Tensor:
        return self.networks.discriminator.judge_image(_fast(x)).float()

    def _draw(self, n: int) -> Tensor:
        rows = torch.randint(len(self.train), (n,)).to(self.device)
        return augment(self.train[rows], self.config.augmentation)

    def _latents(self, n: int) -> Tensor:
        return torch.randn(n, self.config.network.latent).to(self.device)

    def _update(self, tasks: tuple[str, ...], loss: Tensor) -> None:
        """Descend the loss for these tasks; each has its own optimizer and its own limit on the gradient."""
        for task in tasks:
            self.optimizers[task].zero_grad(set_to_none=True)
        loss.backward()
        for task in tasks:
            self._step(task)

    def _step(self, task: str) -> None:
        name = TASKS[task]
        network = getattr(self.networks, name)
        parameters = [p for p in network.parameters() if p.grad is not None]
        if self.fabric.world_size > 1:
            flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
            mean = cast(Tensor, self.fabric.all_reduce(flat, reduce_op="mean"))
            for p, grad in zip(parameters, mean.split([p.numel() for p in parameters]), strict=True):
                p.grad = grad.view_as(p)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizers[task].step()
        self.averaged[name].update_parameters(network)

    # The loop around the steps

    def run(self, resume: bool) -> Networks:
        """Run both phases from where the state file says, each until it is done or gets nowhere."""
        if resume:
            self._load()
        if self.folder is not None and self.fabric.is_global_zero:
            self.folder.forget_after(self.done)
        started, spent = time.monotonic(), self.seconds
        log_every = max(1, min(20, *(total // 10 or 1 for total in self.totals.values())))
        for phase in PHASES:
            step_function = getattr(self, phase)
            sums: dict[str, list[float]] = {}
            if phase == "encoder":
                self.averaged["discriminator"].requires_grad_(False)
            while self.done[phase] < self.totals[phase]:
                step = self.done[phase]
                torch.manual_seed(_step_seed(self.config.training.seed, phase, step, self.fabric.global_rank))
                self._set_learning_rate(phase, step)
                values = {name: float(value.detach()) for name, value in step_function().items()}
                if not all(math.isfinite(value) for value in values.values()):
                    raise ValueError(f"training diverged at {phase} step {step + 1}; lower training.learning_rate")
                for name, value in values.items():
                    sums.setdefault(name, []).append(value)
                step = self.done[phase] = step + 1
                self.seconds = spent + time.monotonic() - started
                snapshot, verdict = None, None
                if step % self.config.training.snapshot_every == 0 or step == self.totals[phase]:
                    snapshot, verdict = self._snapshot(phase, step)
                    self._save()
                if step % log_every == 0 or step == self.totals[phase] or verdict is not None:
                    means = {name: sum(values) / len(values) for name, values in sums.items()}
                    self._log(phase, step, means)
                    self._tell(phase, step, means, snapshot, verdict)
                    sums = {}
        final: dict[str, Any] = {name: averaged.module for name, averaged in self.averaged.items()}
        for network in final.values():
            network.eval().requires_grad_(False)
        return Networks(**final)

    def _fall(self, phase: str) -> int:
        """Return the number of steps in which the learning rate falls."""
        return math.ceil(FALL * self.limits[phase])

    def _set_learning_rate(self, phase: str, step: int) -> None:
        """Rise for the first 50 steps, stay, and fall at the end along a half cosine to a twentieth.

        Warm-up, stable, decay (Hu et al. 2024, MiniCPM, section 4): a phase can be ended at any step, as long as the
        fall follows.
        """
        total = self.totals[phase]
        rise = min(1.0, (step + 1) / min(50, total))
        left = min(1.0, (total - step) / self._fall(phase))
        rate = self.config.training.learning_rate * rise * (0.525 - 0.475 * math.cos(math.pi * left))
        for task, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rate * (self.config.training.adversarial_rate if task == "images" else 1.0)

    def _tell(
        self, phase: str, step: int, means: dict[str, float], snapshot: Path | None, verdict: Verdict | None
    ) -> None:
        if self.callback is None or not self.fabric.is_global_zero:
            return
        done = sum(self.done.values())
        left = sum(self.totals.values()) - done
        seconds_left = self.seconds * left / done
        self.callback(TrainingEvent(phase, step, self.totals[phase], means, seconds_left, snapshot, verdict))

    def _log(self, phase: str, step: int, means: dict[str, float]) -> None:
        if self.folder is None or not self.fabric.is_global_zero:
            return
        times = {"steps": self.totals[phase], "seconds": round(self.seconds, 3)}
        self.folder.log({"phase": phase, "step": step, **times, **means})

    # Snapshots: how good are the networks, and is there a point in going on?

    @torch.no_grad()
    def _snapshot(self, phase: str, step: int) -> tuple[Path | None, Verdict]:
        """Take a reading; keep the networks if they are the best so far; at the phase's end, go back to the best."""
        networks = Networks(**{name: cast(Any, averaged.module) for name, averaged in self.averaged.items()})
        # One process reads: the others might round differently, and all have to stop at the same step.
        reading = self.progress.read(networks, phase) if self.fabric.is_global_zero else {}
        readings = self.readings[phase]
        readings.append({"step": step, **self.fabric.broadcast(reading)})
        verdict = convergence.judge(readings, phase)
        if verdict.best == step:
            self.best = {
                name: {key: value.clone() for key, value in getattr(networks, name).state_dict().items()}
                for name in TAUGHT[phase]
            }
        path = None
        if self.folder is not None and self.fabric.is_global_zero:
            figures = {**readings[-1], "verdict": str(verdict)}
            path = self.folder.write_snapshot(phase, step, self._pictures(networks, phase), figures)
        # What gets nowhere at the full learning rate may at a lower one: the fall follows in any case.
        if convergence.should_stop(readings, phase):
            self.totals[phase] = min(self.totals[phase], step + self._fall(phase))
        if step == self.totals[phase]:
            for name, weights in self.best.items():
                for network in (getattr(networks, name), getattr(self.networks, name)):
                    network.load_state_dict(weights)
            self.best = {}
        return path, verdict

    def _pictures(self, networks: Networks, phase: str) -> Tensor:
        """Return generated images, or originals over their reconstructions."""
        if phase == "adversarial":
            torch.manual_seed(self.config.training.seed)  # the same latents at every snapshot
            return networks.generator(self._latents(16))
        shown = self.holdout[:8]
        return torch.cat([shown, networks.generator(networks.encoder(shown))])

    def _save(self) -> None:
        if self.folder is None or not self.fabric.is_global_zero:
            return
        tensors: dict[str, Tensor] = {}
        for name, network in vars(self.networks).items():
            tensors |= checkpoint.pack(name, network) | checkpoint.pack(f"averaged {name}", self.averaged[name])
        for name, weights in self.best.items():
            tensors |= {f"best {name}.{key}": value for key, value in weights.items()}
        for task, optimizer in self.optimizers.items():
            tensors |= checkpoint.pack_optimizer(f"optimizer {task}", optimizer)
        self.folder.write_progress(
            {
                phase: {"readings": readings, **vars(convergence.judge(readings, phase)), "steps": self.totals[phase]}
                for phase, readings in self.readings.items()
                if readings
            }
        )
        state = {
            "done": self.done,
            "totals": self.totals,
            "seconds": self.seconds,
            "readings": self.readings,
            "profile": self.config.to_toml(),
        }
        self.folder.save(sum(self.done.values()), tensors, state)

    def _load(self) -> None:
        loaded = self.folder.load(self.config.to_toml()) if self.folder is not None else None
        if self.folder is None or loaded is None:
            return
        state, tensors, path = loaded
        for name, network in vars(self.networks).items():
            checkpoint.unpack(name, tensors, network, path)
            checkpoint.unpack(f"averaged {name}", tensors, self.averaged[name], path)
            prefix = f"best {name}."
            if best := {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}:
                self.best[name] = best
        for task, optimizer in self.optimizers.items():
            checkpoint.unpack_optimizer(f"optimizer {task}", tensors, optimizer)
        self.done, self.totals, self.seconds = state["done"], state["totals"], state["seconds"]
        self.readings = state["readings"]


def _average(decay: float) -> Callable[[Any, Any, Tensor | int], None]:
    """Return the averaging rule for `AveragedModel`: exponential, but a short run forgets its first steps as well."""

    def update(averaged: Any, current: Any, updates: Tensor | int) -> None:
        n = float(updates)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, updates)

    return update


def _step_seed(seed: int, phase: str, step: int, rank: int) -> int:
    return (((seed * 2 + PHASES.index(phase)) * 10_000_000 + step) * 1024 + rank) % 2**63


@own_random_state()
def train(
    images: Tensor,
    holdout: Tensor,
    config: Config,
    *,
    run: Path | None = None,
    resume: bool = False,
    callback: Callback | None = None,
    data: str = "",
) -> Networks:
    """Train generator, discriminator and encoder on healthy images.

    Parameters
    ----------
    images
        Healthy images, (N, C, S, S) in [-1, 1].
    holdout
        Healthy images that only the snapshots look at, (M, C, S, S).
    config
        The profile.
    run
        Folder that receives `training/`: history, snapshots and the state a killed run resumes from.
    resume
        Go on from the state in `run`, if there is one. The result is that of an unbroken run.
    data
        Stands for the images, such as a hash of their files: what was started with one goes on with no other.

    Returns
    -------
    Networks
        Averaged weights, on the training device, in evaluation mode.

    Raises
    ------
    ValueError
        Training diverged, the state is damaged, or it belongs to other settings or images.
    """
    return Trainer(images, holdout, config, run, callback, data).run(resume)
