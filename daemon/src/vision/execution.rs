//! What a model runs as and on: which of its files, and which of ONNX Runtime's execution providers.
//!
//! **Files.** A manifest names a float file and perhaps int8 ones. Weights of the full int8 range give exact results
//! where the processor sums products of 8-bit numbers in 32 bits: x86 with VNNI, aarch64 with the dot product. Other x86
//! processors sum pairs in 16 bits, which saturate silently (`vpmaddubsw`); for them there is the reduced range.
//!
//! **Providers** are tried in the order of the configuration. One counts only if it takes the whole model: sessions are
//! opened with falling back to the processor forbidden, so that what logs and metrics name is what really runs.

use ort::{
    environment::Environment,
    ep::{self, ExecutionProvider, ExecutionProviderDispatch},
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};
use serde::Serialize;
use snowgate_core::choice;

use super::manifest_file::Int8Spec;

choice! {
    /// With how many bits models reckon.
    pub enum Precision {
        /// As each manifest recommends.
        Auto = "auto",
        /// 32-bit floats.
        Float = "float",
        /// 8-bit integers where the model has them, whether recommended or not.
        Int8 = "int8",
    }
}

choice! {
    /// One of the files of a model.
    pub enum Variant {
        /// 32-bit floats.
        Float = "float",
        /// Weights and activations of 8 bits.
        Int8 = "int8",
        /// The same, with weights of 7 bits where sums of two products would saturate 16 bits.
        Int8Reduced = "int8-reduced",
    }
}

choice! {
    /// Who does the arithmetic.
    pub enum Provider {
        /// ONNX Runtime's own kernels.
        Cpu = "cpu",
        /// Intel's OpenVINO, on the processor.
        Openvino = "openvino",
        /// An NVIDIA card.
        Cuda = "cuda",
        /// An NVIDIA card, through TensorRT.
        Tensorrt = "tensorrt",
    }
}

impl Provider {
    /// Whether the main processor does the arithmetic.
    const fn is_processor(self) -> bool {
        matches!(self, Self::Cpu | Self::Openvino)
    }
}

/// What the processor has that makes products of 8-bit numbers exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuFeatures {
    /// x86: AVX-512 VNNI.
    pub avx512_vnni: bool,
    /// x86: AVX-VNNI.
    pub avx_vnni: bool,
    /// aarch64: the dot product (FEAT_DotProd).
    pub dotprod: bool,
}

impl CpuFeatures {
    /// Asks this machine.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        return Self {
            avx512_vnni: std::arch::is_x86_feature_detected!("avx512vnni"),
            avx_vnni: std::arch::is_x86_feature_detected!("avxvnni"),
            dotprod: false,
        };
        #[cfg(target_arch = "aarch64")]
        return Self { dotprod: std::arch::is_aarch64_feature_detected!("dotprod"), ..Self::default() };
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        return Self::default();
    }

    /// Whether int8 of the full range is exact.
    pub const fn sums_exactly(self) -> bool {
        self.avx512_vnni || self.avx_vnni || self.dotprod
    }
}

/// How models are to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// With how many bits.
    pub precision: Precision,
    /// On what, the preferred one first. The processor is the last resort, named or not.
    pub providers: Vec<Provider>,
    /// The processor.
    pub cpu: CpuFeatures,
}

impl Execution {
    /// On this machine.
    pub fn here(precision: Precision, providers: Vec<Provider>) -> Self {
        Self { precision, providers, cpu: CpuFeatures::detect() }
    }

    /// What is tried before the processor, in order.
    pub(super) fn preferred(&self) -> impl Iterator<Item = Provider> {
        self.providers.iter().copied().take_while(|provider| *provider != Provider::Cpu)
    }

    /// Which file of a model with these int8 files a provider runs.
    ///
    /// NVIDIA's providers run what is made of `QuantizeLinear` in float, or refuse it: nothing is won by int8 there.
    pub fn variant(&self, int8: Option<&Int8Spec>, provider: Provider) -> Variant {
        let wanted = |int8: &&Int8Spec| match self.precision {
            Precision::Float => false,
            Precision::Auto => int8.recommended && provider.is_processor(),
            Precision::Int8 => true,
        };
        match int8.filter(wanted) {
            None => Variant::Float,
            Some(_) if !provider.is_processor() || self.cpu.sums_exactly() => Variant::Int8,
            Some(int8) if int8.reduced.is_some() => Variant::Int8Reduced,
            // Slow and right rather than fast and wrong.
            Some(_) => Variant::Float,
        }
    }
}

/// What a model really runs as and on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Running {
    /// Which of its files.
    pub precision: Variant,
    /// Who does the arithmetic.
    pub provider: Provider,
    /// The file's SHA-256, hexadecimal, in small letters.
    pub sha256: String,
}

/// Opens a session that runs on `provider` altogether, with one thread that never spins.
///
/// # Errors
/// What ONNX Runtime says: that it has no such provider, that the provider's own libraries or devices are missing, that
/// the provider does not take the whole model, or that the model is broken.
pub(super) fn open(environment: &Environment, bytes: &[u8], provider: Provider) -> Result<Session, String> {
    let text = |error: ort::Error| error.to_string();
    let refused = |error: ort::Error<SessionBuilder>| error.to_string();
    let builder = Session::builder(environment).map_err(text)?;
    let builder = builder.with_intra_threads(1).map_err(refused)?;
    let builder = builder.with_inter_threads(1).map_err(refused)?;
    let builder = builder.with_intra_op_spinning(false).map_err(refused)?;
    let builder = builder.with_inter_op_spinning(false).map_err(refused)?;
    let mut builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(refused)?;
    if let Some(other) = dispatch(provider)? {
        builder = builder.with_execution_providers([other.error_on_failure()]).map_err(refused)?;
        builder = builder.with_disable_cpu_fallback().map_err(refused)?;
    }
    builder.commit_from_memory(bytes).map_err(text)
}

/// What is registered for a provider; nothing for the processor, which is always there.
fn dispatch(provider: Provider) -> Result<Option<ExecutionProviderDispatch>, String> {
    match provider {
        Provider::Cpu => Ok(None),
        // One thread, like everything here; floats as floats, for OpenVINO would take bfloat16 where the processor has it.
        Provider::Openvino => {
            let openvino = ep::OpenVINO::default().with_device_type("CPU").with_num_threads(1).with_precision("FP32");
            built_in::<ep::OpenVINO>().map(|()| Some(openvino.build()))
        }
        Provider::Cuda => built_in::<ep::CUDA>().map(|()| Some(ep::CUDA::default().build())),
        Provider::Tensorrt => built_in::<ep::TensorRT>().map(|()| Some(ep::TensorRT::default().build())),
    }
}

/// Whether the loaded library was built with a provider; asking for one it lacks gives a message that helps nobody.
fn built_in<E: ExecutionProvider>() -> Result<(), String> {
    match E::is_available() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("this ONNX Runtime was built without {}", E::NAME)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use snowgate_core::spec::{Located, Maybe};

    use super::*;
    use crate::vision::manifest::PinnedFile;

    fn file() -> PinnedFile {
        PinnedFile { file: Located::nowhere(String::new()), sha256: Located::nowhere(String::new()) }
    }

    fn int8(recommended: bool, reduced: bool) -> Int8Spec {
        Int8Spec { full: file(), recommended, reduced: if reduced { Maybe(Some(file())) } else { Maybe::NONE } }
    }

    const OLD: CpuFeatures = CpuFeatures { avx512_vnni: false, avx_vnni: false, dotprod: false };
    const NEW: [CpuFeatures; 3] = [
        CpuFeatures { avx512_vnni: true, ..OLD },
        CpuFeatures { avx_vnni: true, ..OLD },
        CpuFeatures { dotprod: true, ..OLD },
    ];

    fn choose(precision: Precision, int8: Option<&Int8Spec>, provider: Provider, cpu: CpuFeatures) -> Variant {
        Execution { precision, providers: vec![provider], cpu }.variant(int8, provider)
    }

    #[test]
    fn the_range_follows_the_processor() {
        let both = int8(true, true);
        for precision in [Precision::Auto, Precision::Int8] {
            for provider in [Provider::Cpu, Provider::Openvino] {
                for cpu in NEW {
                    assert_eq!(choose(precision, Some(&both), provider, cpu), Variant::Int8);
                }
                assert_eq!(choose(precision, Some(&both), provider, OLD), Variant::Int8Reduced);
                // Without a reduced file nothing may saturate unseen.
                assert_eq!(choose(precision, Some(&int8(true, false)), provider, OLD), Variant::Float);
            }
        }
    }

    #[test]
    fn auto_is_the_manifests_word_and_never_int8_on_a_card() {
        for cpu in NEW.into_iter().chain([OLD]) {
            for provider in [Provider::Cpu, Provider::Openvino, Provider::Cuda, Provider::Tensorrt] {
                assert_eq!(choose(Precision::Auto, Some(&int8(false, true)), provider, cpu), Variant::Float);
                assert_eq!(choose(Precision::Auto, None, provider, cpu), Variant::Float);
                assert_eq!(choose(Precision::Int8, None, provider, cpu), Variant::Float);
                assert_eq!(choose(Precision::Float, Some(&int8(true, true)), provider, cpu), Variant::Float);
            }
            assert_eq!(choose(Precision::Auto, Some(&int8(true, true)), Provider::Cuda, cpu), Variant::Float);
            // Asked for by name it is given, and a card's sums are exact whatever the processor's are.
            assert_eq!(choose(Precision::Int8, Some(&int8(false, true)), Provider::Tensorrt, cpu), Variant::Int8);
        }
    }

    #[test]
    fn int8_asked_for_by_name_needs_no_recommendation() {
        assert_eq!(choose(Precision::Int8, Some(&int8(false, true)), Provider::Cpu, NEW[0]), Variant::Int8);
    }

    #[test]
    fn what_stands_behind_the_processor_is_not_tried() {
        let preferred = |providers: &[Provider]| -> Vec<Provider> {
            Execution::here(Precision::Auto, providers.to_vec()).preferred().collect()
        };
        use Provider::{Cpu, Cuda, Openvino};
        assert_eq!(preferred(&[Openvino, Cuda]), [Openvino, Cuda]);
        assert_eq!(preferred(&[Openvino, Cpu, Cuda]), [Openvino]);
        assert_eq!(preferred(&[Cpu]), []);
    }
}
