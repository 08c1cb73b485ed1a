#include "config/providers.hpp"

#include <algorithm>
#include <array>

namespace vorrang::config {

namespace {

using enum key_style;

// name, base, key variables, base variables, key style, appends /v1, needs a key, messages,
// responses, stream_options
constexpr std::array<provider, 23> table = {{
    {"openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL OPENAI_API_BASE",
     bearer, false, true, false, true, true},
    {"azure", "", "AZURE_OPENAI_API_KEY AZURE_API_KEY", "AZURE_API_BASE", api_key, false, true,
     false, true, true},
    {"anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY",
     "ANTHROPIC_API_BASE ANTHROPIC_BASE_URL", x_api_key, true, true, true, false, false},
    {"hosted_vllm", "", "HOSTED_VLLM_API_KEY", "HOSTED_VLLM_API_BASE", bearer, false, false, false,
     false, true},
    {"mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY",
     "MISTRAL_AZURE_API_BASE MISTRAL_API_BASE", bearer, true, true, false, false, false},
    {"groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "GROQ_API_BASE", bearer, false, true,
     false, false, true},
    {"together_ai", "https://api.together.xyz/v1",
     "TOGETHER_API_KEY TOGETHER_AI_API_KEY TOGETHERAI_API_KEY TOGETHER_AI_TOKEN",
     "TOGETHER_AI_API_BASE", bearer, false, true, false, false, true},
    {"deepseek", "https://api.deepseek.com/beta", "DEEPSEEK_API_KEY", "DEEPSEEK_API_BASE", bearer,
     false, true, false, false, true},
    {"openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY OR_API_KEY",
     "OPENROUTER_API_BASE", bearer, false, true, false, false, true},
    {"gemini", "https://generativelanguage.googleapis.com/v1beta/openai",
     "GEMINI_API_KEY GOOGLE_API_KEY", "GEMINI_API_BASE", bearer, false, true, false, false, false},
    {"ollama", "http://localhost:11434/v1", "OLLAMA_API_KEY", "OLLAMA_API_BASE", bearer, true,
     false, false, false, false},
    {"ollama_chat", "http://localhost:11434/v1", "OLLAMA_API_KEY", "OLLAMA_API_BASE", bearer, true,
     false, false, false, false},
    {"xai", "https://api.x.ai/v1", "XAI_API_KEY", "XAI_API_BASE", bearer, false, true, false, false,
     true},
    {"fireworks_ai", "https://api.fireworks.ai/inference/v1",
     "FIREWORKS_API_KEY FIREWORKS_AI_API_KEY FIREWORKSAI_API_KEY FIREWORKS_AI_TOKEN",
     "FIREWORKS_API_BASE", bearer, false, true, false, false, true},
    {"perplexity", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY PERPLEXITY_API_KEY",
     "PERPLEXITY_API_BASE", bearer, false, true, false, false, false},
    {"nvidia_nim", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY",
     "NVIDIA_NIM_API_BASE", bearer, false, true, false, false, false},
    {"cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "CEREBRAS_API_BASE", bearer,
     false, true, false, false, false},
    {"deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", "DEEPINFRA_API_BASE",
     bearer, false, true, false, false, false},
    {"lm_studio", "http://localhost:1234/v1", "LM_STUDIO_API_KEY", "LM_STUDIO_API_BASE", bearer,
     false, false, false, false, false},
    {"litellm_proxy", "", "LITELLM_PROXY_API_KEY", "LITELLM_PROXY_API_BASE", bearer, false, false,
     false, false, false},
    {"custom_openai", "", "CUSTOM_OPENAI_API_KEY OPENAI_API_KEY", "CUSTOM_OPENAI_API_BASE", bearer,
     false, false, false, false, false},
    {"openai_like", "", "OPENAI_LIKE_API_KEY", "OPENAI_LIKE_API_BASE", bearer, false, false, false,
     false, false},
    {"text-completion-openai", "https://api.openai.com/v1", "OPENAI_API_KEY",
     "OPENAI_BASE_URL OPENAI_API_BASE", bearer, false, true, false, true, true},
}};

constexpr std::string_view foreign[] = {"a2a",
                                        "ai21",
                                        "ai21_chat",
                                        "aiml",
                                        "anthropic_text",
                                        "anyscale",
                                        "assemblyai",
                                        "auto_router",
                                        "aws_polly",
                                        "azure_ai",
                                        "azure_text",
                                        "baseten",
                                        "bedrock",
                                        "black_forest_labs",
                                        "bytez",
                                        "chatgpt",
                                        "clarifai",
                                        "cloudflare",
                                        "codestral",
                                        "cohere",
                                        "cohere_chat",
                                        "cometapi",
                                        "custom",
                                        "dashscope",
                                        "databricks",
                                        "datarobot",
                                        "deepgram",
                                        "docker_model_runner",
                                        "elevenlabs",
                                        "empower",
                                        "fal_ai",
                                        "featherless_ai",
                                        "friendliai",
                                        "galadriel",
                                        "gigachat",
                                        "github",
                                        "github_copilot",
                                        "gradient_ai",
                                        "heroku",
                                        "huggingface",
                                        "humanloop",
                                        "hyperbolic",
                                        "infinity",
                                        "jina_ai",
                                        "lambda_ai",
                                        "langgraph",
                                        "lemonade",
                                        "llamafile",
                                        "manus",
                                        "maritalk",
                                        "meta_llama",
                                        "minimax",
                                        "modelscope",
                                        "moonshot",
                                        "morph",
                                        "nebius",
                                        "nlp_cloud",
                                        "novita",
                                        "nscale",
                                        "nvidia_riva",
                                        "oci",
                                        "oobabooga",
                                        "ovhcloud",
                                        "palm",
                                        "petals",
                                        "predibase",
                                        "publicai",
                                        "recraft",
                                        "replicate",
                                        "runwayml",
                                        "sagemaker",
                                        "sagemaker_chat",
                                        "sambanova",
                                        "sap",
                                        "scaleway",
                                        "snowflake",
                                        "stability",
                                        "text-completion-codestral",
                                        "topaz",
                                        "triton",
                                        "v0",
                                        "vercel_ai_gateway",
                                        "vertex_ai",
                                        "vertex_ai_beta",
                                        "vllm",
                                        "volcengine",
                                        "voyage",
                                        "wandb",
                                        "watsonx",
                                        "watsonx_text",
                                        "xinference",
                                        "zai"};

bool begins_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

} // namespace

const provider* find_provider(std::string_view name) {
  const auto* hit = std::find_if(table.begin(), table.end(),
                                 [&](const provider& each) { return each.name == name; });
  return hit == table.end() ? nullptr : hit;
}

std::vector<std::string_view> provider_names() {
  std::vector<std::string_view> out;
  for (const auto& each : table) {
    out.push_back(each.name);
  }
  return out;
}

bool is_foreign_provider(std::string_view name) {
  return std::find(std::begin(foreign), std::end(foreign), name) != std::end(foreign);
}

const provider* provider_of_bare_name(std::string_view model) {
  const bool is_reasoning_model =
      model.size() > 1 && model[0] == 'o' && model[1] >= '0' && model[1] <= '9';
  if (is_reasoning_model || begins_with(model, "gpt-") || begins_with(model, "chatgpt-") ||
      begins_with(model, "text-embedding-") || begins_with(model, "ft:gpt-")) {
    return find_provider("openai");
  }
  return begins_with(model, "claude-") ? find_provider("anthropic") : nullptr;
}

} // namespace vorrang::config
