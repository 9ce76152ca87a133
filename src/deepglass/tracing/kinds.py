"""What is known of a function by its name: its kind, whether it draws at random, what it writes over.

`KINDS` is read from the top: the first line that holds a name decides. A name ending in "…" stands for all that begin
so. What no line holds is "other".
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from deepglass.tracing.operation import Kind

KINDS: tuple[tuple[Kind, str], ...] = (
    ("loss", "cross_entropy nll_loss nll_loss_nd mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy "
             "binary_cross_entropy_with_logits kl_div ctc_loss poisson_nll_loss gaussian_nll_loss margin_ranking_loss "
             "cosine_embedding_loss hinge_embedding_loss triplet_margin_loss triplet_margin_with_distance_loss "
             "multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss soft_margin_loss "
             "linear_cross_entropy"),
    ("attention", "scaled_dot_product_attention multi_head_attention_forward flex_attention _scaled_dot…"),
    ("recurrent", "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell _thnn_fused…"),
    ("embedding", "embedding embedding_bag one_hot"),
    ("convolution", "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc convolution "
                    "_convolution unfold fold mkldnn_conv…"),
    ("linear", "linear bilinear matmul mm bmm addmm addbmm baddbmm addmv mv dot vdot inner outer einsum tensordot "
               "chain_matmul multi_dot linear_dynamic linear_relu_dynamic rmatmul _grouped_mm grouped_mm kron"),
    ("normalization", "batch_norm layer_norm group_norm instance_norm local_response_norm rms_norm normalize "
                      "native_batch_norm native_layer_norm native_group_norm weight_norm _weight_norm renorm "
                      "cudnn_batch_norm _batch_norm… _fused_rms_norm"),
    ("activation", "relu relu6 leaky_relu rrelu prelu elu selu celu gelu silu mish hardtanh hardswish hardsigmoid "
                   "hardshrink softshrink tanhshrink softplus softsign sigmoid logsigmoid tanh softmax softmin "
                   "log_softmax gumbel_softmax glu threshold special_softmax special_log_softmax _softmax "
                   "_log_softmax logit expit special_expit erf"),
    ("dropout", "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout "
                "native_dropout"),
    ("pooling", "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
                "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
                "lp_pool1d lp_pool2d lp_pool3d fractional_max_pool2d fractional_max_pool3d max_unpool1d max_unpool2d "
                "max_unpool3d interpolate upsample upsample_nearest upsample_bilinear grid_sample affine_grid "
                "_adaptive_avg_pool… max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices "
                "upsample_…"),
    ("reduction", "sum mean prod std var std_mean var_mean norm vector_norm matrix_norm linalg_vector_norm "
                  "linalg_matrix_norm linalg_norm max min amax amin aminmax argmax argmin logsumexp median nanmedian "
                  "mode all any nansum nanmean count_nonzero cumsum cumprod cummax cummin logcumsumexp trace "
                  "cosine_similarity pairwise_distance pdist cdist quantile bincount histc"),
    ("shape", "view view_as reshape reshape_as flatten unflatten transpose permute t T mT H mH swapaxes swapdims "
              "movedim moveaxis squeeze unsqueeze expand expand_as contiguous cat concat concatenate stack hstack "
              "vstack dstack split split_with_sizes chunk tensor_split unbind repeat repeat_interleave tile roll flip "
              "fliplr flipud rot90 pad constant_pad_nd pixel_shuffle pixel_unshuffle channel_shuffle broadcast_to "
              "broadcast_tensors meshgrid narrow as_strided atleast_1d atleast_2d atleast_3d resize view_as_complex "
              "view_as_real ravel _unsafe_view unsafe_chunk unsafe_split detach data clone alias lift_fresh _to_copy "
              "to type type_as float double half bfloat16 long int bool cpu cuda real imag resolve_conj "
              "column_stack block_diag combinations cartesian_prod diag diag_embed"),
    ("indexing", "getitem setitem gather scatter scatter_add scatter_reduce index index_select index_add index_copy "
                 "index_fill index_put index_reduce masked_fill masked_select masked_scatter where take "
                 "take_along_dim put select slice diagonal tril triu topk sort argsort nonzero nonzero_static unique "
                 "unique_consecutive searchsorted bucketize msort kthvalue select_scatter slice_scatter isin fill "
                 "zero copy"),
    ("arithmetic", "add sub rsub subtract mul multiply div rdiv true_divide divide floor_divide rfloordiv floordiv "
                   "radd rmul rtruediv truediv mod rmod remainder fmod pow rpow float_power neg negative abs absolute "
                   "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square reciprocal sin cos tan asin acos atan atan2 "
                   "sinh cosh asinh acosh atanh erfc erfinv clamp clamp_min clamp_max clip round floor ceil trunc "
                   "frac sign sgn maximum minimum fmax fmin lerp addcmul addcdiv cumsum eq ne lt le gt ge and or xor "
                   "not invert ror rand rxor logical_and logical_or logical_xor logical_not bitwise_and bitwise_or "
                   "bitwise_xor bitwise_not eq less greater isnan isinf isfinite nan_to_num lgamma digamma polar "
                   "complex angle conj cross hypot logaddexp sinc sigmoid_backward heaviside iadd isub imul itruediv "
                   "ipow iand ior lshift rshift"),
)  # fmt: skip


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RANDOM = words("""
    rand randn randint randperm rand_like randn_like randint_like normal bernoulli multinomial poisson binomial
    uniform exponential geometric cauchy log_normal random gumbel_softmax rrelu fractional_max_pool2d
    fractional_max_pool3d dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout
    native_dropout scaled_dot_product_attention multi_head_attention_forward lstm gru rnn_tanh rnn_relu
    _fused_dropout
""")
"""Functions that may draw random numbers."""

SILENT = words("""
    item tolist numpy __array__ size dim ndimension numel nelement stride storage_offset is_contiguous is_pinned
    is_same_size is_set_to is_shared is_floating_point is_complex is_signed is_inference is_conj is_neg is_nonzero
    is_tensor is_distributed is_coalesced __len__ __bool__ __int__ __float__ __index__ __complex__ __repr__ __str__
    __format__ __hash__ __contains__ __iter__ data_ptr storage untyped_storage element_size get_device
    register_hook register_post_accumulate_grad_hook retain_grad backward requires_grad_ share_memory_ __set__
    __delete__ __deepcopy__ __reduce_ex__ __setstate__ __dir__ allclose equal result_type can_cast promote_types
    _version _set_grad_enabled is_autocast_enabled set_autocast_enabled has_names pin_memory record_stream apply_
    map_ __dlpack__ __dlpack_device__ _is_view __cuda_array_interface__ get_default_dtype is_grad_enabled numpy_T
    nbytes itemsize unsafe_get_tensor is_sparse sparse_dim dense_dim _assert _assert_async
    _has_compatible_shallow_copy_type as_subclass _make_subclass _use_cudnn_rnn_flatten_weight
    _cudnn_rnn_flatten_weight _nested_tensor_size __class_getitem__
""")
"""Functions that give no tensor, or the same one: nothing is computed that a graph would show."""

MAKERS = words("""
    tensor as_tensor from_numpy asarray frombuffer sparse_coo_tensor from_dlpack
""")
"""Functions that bring numbers in from outside: what they return is a constant."""

RESHAPING = words("transpose t squeeze unsqueeze swapaxes swapdims as_strided")
"""Of these, the forms in place change how a tensor looks at its memory, and not the memory."""

HOMES = (
    (torch.nn.functional, "torch.nn.functional"),
    (torch, "torch"),
    (torch.Tensor, "torch.Tensor"),
    (torch.special, "torch.special"),
    (torch.linalg, "torch.linalg"),
    (torch.fft, "torch.fft"),
)

SHOWN_ATTRIBUTES = frozenset(("T", "mT", "H", "mH", "real", "imag", "data"))


@dataclass(frozen=True)
class Facts:
    """What is known of a function before it is called."""

    name: str
    function: str
    kind: Kind
    silent: bool = False
    makes: bool = False
    random: bool = False
    in_place: bool = False
    inplace_at: int | None = None
    schema: Any = None


@lru_cache(maxsize=4096)
def facts_of(function: Any) -> Facts:
    """The facts about a function that PyTorch hands to a mode.

    >>> facts_of(torch.nn.functional.linear).kind, facts_of(torch.Tensor.__iadd__).in_place
    ('linear', True)
    """
    raw = str(getattr(function, "__name__", None) or getattr(function, "_qualified_op_name", type(function).__name__))
    if raw == "__get__":
        name = str(getattr(function.__self__, "__name__", raw))
        return Facts(name, f"torch.Tensor.{name}", kind_of(name), silent=name not in SHOWN_ATTRIBUTES)
    overload = isinstance(function, torch._ops.OpOverload)
    raw = raw.split(".")[0] if overload else raw
    name = plain_name(raw)
    schema = function._schema if overload else None
    in_place = _writes_by_name(raw) or bool(schema is not None and schema.is_mutable)
    return Facts(
        name, _full_name(function, raw), kind_of(name), raw in SILENT, raw in MAKERS, name in RANDOM, in_place,
        _inplace_position(function), schema,
    )  # fmt: skip


def plain_name(name: str) -> str:
    """`__add__` and `add_` are both an "add"; `__iadd__` too."""
    if name.startswith("__") and name.endswith("__"):
        bare = name[2:-2]
        return bare[1:] if _writes_by_name(name) and bare != "setitem" else bare
    return name[:-1] if name.endswith("_") and len(name) > 1 else name


@lru_cache(maxsize=1024)
def kind_of(name: str) -> Kind:
    """The kind of the function of this plain name."""
    for kind, names in KINDS:
        for entry in names.split():
            if name == entry or (entry.endswith("…") and name.startswith(entry[:-1])):
                return kind
    return "other"


def written_by(facts: Facts, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that a call is known to write over, its own results not counted."""
    if facts.schema is not None:
        return _written_by_schema(facts.schema, args, kwargs) if facts.in_place else []
    found: list[Any] = []
    if facts.in_place or _asked_in_place(facts, args, kwargs):
        found.append(args[0] if args else next(iter(kwargs.values()), None))
    if "out" in kwargs and kwargs["out"] is not None:
        out = kwargs["out"]
        found.extend(out if isinstance(out, (tuple, list)) else (out,))
    if facts.name in ("batch_norm", "instance_norm"):
        found.extend(_running(facts, args, kwargs))
    if facts.name == "embedding" and kwargs.get("max_norm", args[3] if len(args) > 3 else None) is not None:
        found.append(args[1] if len(args) > 1 else kwargs.get("weight"))
    return [tensor for tensor in found if isinstance(tensor, Tensor)]


def _asked_in_place(facts: Facts, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if "inplace" in kwargs:
        return bool(kwargs["inplace"])
    place = facts.inplace_at
    return place is not None and len(args) > place and bool(args[place])


def _running(facts: Facts, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The running mean and variance, where they are brought up to date."""
    flag = kwargs.get("training", kwargs.get("use_input_stats", args[5] if len(args) > 5 else False))
    named = [kwargs.get("running_mean"), kwargs.get("running_var")]
    return [*args[1:5], *named][: 6 if flag else 0] if flag else []


def _written_by_schema(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for place, entry in enumerate(schema.arguments):
        if entry.alias_info is not None and entry.alias_info.is_write:
            given = args[place] if place < len(args) else kwargs.get(entry.name)
            given = given if isinstance(given, (tuple, list)) else (given,)
            found.extend(tensor for tensor in given if isinstance(tensor, Tensor))
    return found


def _writes_by_name(name: str) -> bool:
    if name.startswith("__"):
        # __iadd__, but neither __invert__ nor __index__ nor __init__.
        known = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "matmul", "lshift",
                 "rshift", "div")  # fmt: skip
        return name == "__setitem__" or (name.startswith("__i") and name[3:-2] in known)
    return name.endswith("_") and not name.endswith("__")


@lru_cache(maxsize=1024)
def _inplace_position(function: Any) -> int | None:
    if not inspect.isfunction(function):
        return None
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:  # Tensor.__pow__ is Python's face of a builtin that has no signature
        return None
    return names.index("inplace") if "inplace" in names else None


def _full_name(function: Any, name: str) -> str:
    for home, title in HOMES:
        if getattr(home, name, None) is function:
            return f"{title}.{name}"
    if isinstance(function, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        return str(function)
    module = getattr(function, "__module__", None)
    return f"{module}.{getattr(function, '__qualname__', name)}" if module else name
