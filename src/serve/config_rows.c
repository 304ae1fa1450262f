/* The table of settings: whoever adds one adds a row here, and a field to struct config. */
#include "serve/config_priv.h"

#define AT(f)   offsetof(struct config, f)
#define M_AT(f) offsetof(struct config_model, f)

#define KV_TYPES "f32|f16|q8_0|q4_0"

enum { PARALLEL_MAX = 256, CONTEXT_MAX = 1 << 24 };

#define YEAR_S 31536000.0
#define TIB    1099511627776.0

/* clang-format off */
const struct config_row config_rows[] = {
    {.name = "listen.host", .type = CONFIG_HOST, .at = AT(host), .n_at = AT(port), .def = "127.0.0.1",
     .env = "HEARTH_HOST", .ollama = "OLLAMA_HOST",
     .help = "address, name, host:port, or unix:/path/of/a/socket"},
    {.name = "listen.port", .type = CONFIG_INT, .at = AT(port), .def = "11434", .min = 0, .max = 65535,
     .env = "HEARTH_PORT", .help = "0: any that is free"},
    {.name = "listen.tls_cert", .type = CONFIG_PATH, .at = AT(tls_cert), .env = "HEARTH_TLS_CERT",
     .help = "PEM file of the certificate and those that vouch for it"},
    {.name = "listen.tls_key", .type = CONFIG_PATH, .at = AT(tls_key), .env = "HEARTH_TLS_KEY",
     .help = "PEM file of its key"},
    {.name = "listen.hosts", .type = CONFIG_LIST, .at = AT(hosts), .n_at = AT(n_host), .env = "HEARTH_HOSTS",
     .help = "further names of this server; .example.com: and all below it"},
    {.name = "listen.origins", .type = CONFIG_LIST, .at = AT(origins), .n_at = AT(n_origin),
     .env = "HEARTH_ORIGINS", .ollama = "OLLAMA_ORIGINS",
     .help = "where pages may be from that ask here, as https://example.com; * in it stands for anything"},
    {.name = "listen.keys", .type = CONFIG_PATH, .at = AT(keys), .env = "HEARTH_KEYS",
     .help = "file of API keys, made by 'hearth key add'; unset: none are asked for"},
    {.name = "listen.allow_no_key", .type = CONFIG_FLAG, .at = AT(allow_no_key), .def = "false",
     .env = "HEARTH_ALLOW_NO_KEY", .help = "other machines may ask without a key"},

    {.name = "limits.body", .type = CONFIG_BYTES, .at = AT(body_max), .def = "32MiB", .min = 1024,
     .max = 1073741824, .env = "HEARTH_BODY_MAX", .help = "of a request"},
    {.name = "limits.head", .type = CONFIG_BYTES, .at = AT(head_max), .def = "64KiB", .min = 1024,
     .max = 65536, .env = "HEARTH_HEAD_MAX", .help = "of a request: its first line and headers"},
    {.name = "limits.connections", .type = CONFIG_INT, .at = AT(n_connection), .def = "10000", .min = 1,
     .max = 1000000, .env = "HEARTH_CONNECTIONS", .help = "at once; further ones get 503"},
    {.name = "limits.connections_per_address", .type = CONFIG_INT, .at = AT(n_connection_per_ip), .def = "0",
     .min = 0, .max = 1000000, .env = "HEARTH_CONNECTIONS_PER_ADDRESS", .help = "0: no limit"},
    {.name = "limits.head_timeout", .type = CONFIG_SECONDS, .at = AT(head_timeout_s), .def = "10s", .min = 1,
     .max = 3600, .env = "HEARTH_HEAD_TIMEOUT", .help = "for a request's head to be complete"},
    {.name = "limits.idle_timeout", .type = CONFIG_SECONDS, .at = AT(idle_timeout_s), .def = "75s", .min = 1,
     .max = 86400, .env = "HEARTH_IDLE_TIMEOUT", .help = "of a connection that nothing happens on"},
    {.name = "limits.body_rate", .type = CONFIG_RATE, .at = AT(body_rate_min), .def = "1KiB", .min = 0,
     .max = 1048576, .env = "HEARTH_BODY_RATE", .help = "bytes a second that a body must come with, over 30 s"},
    {.name = "limits.request_timeout", .type = CONFIG_SECONDS, .at = AT(request_timeout_s), .def = "0", .min = 0,
     .max = YEAR_S, .env = "HEARTH_REQUEST_TIMEOUT", .help = "of a whole request; 0: none"},
    {.name = "limits.drain_timeout", .type = CONFIG_SECONDS, .at = AT(drain_timeout_s), .def = "30s", .min = 0,
     .max = 86400, .env = "HEARTH_DRAIN_TIMEOUT", .help = "for requests under way when the server is stopped"},
    {.name = "limits.queue", .type = CONFIG_INT, .at = AT(n_queue), .def = "512", .min = 1, .max = 100000,
     .env = "HEARTH_QUEUE", .ollama = "OLLAMA_MAX_QUEUE", .help = "requests that may wait; further ones get 503"},
    {.name = "limits.handlers", .type = CONFIG_INT, .at = AT(n_handler), .def = "0", .min = 0, .max = 256,
     .env = "HEARTH_HANDLERS", .help = "threads that read requests; 0: by the machine"},

    {.name = "models.dir", .type = CONFIG_PATH, .at = AT(models), .env = "HEARTH_MODELS",
     .help = "where models are stored; unset: below the user's data"},
    {.name = "models.allow_paths", .type = CONFIG_FLAG, .at = AT(allow_paths), .def = "false",
     .env = "HEARTH_ALLOW_PATHS", .help = "a client may name a model by the path of its file"},
    {.name = "models.path_dirs", .type = CONFIG_PATHS, .at = AT(path_dirs), .n_at = AT(n_path_dir),
     .env = "HEARTH_PATH_DIRS", .help = "directories that such paths must be below; none: anywhere"},
    {.name = "models.memory", .type = CONFIG_BYTES, .at = AT(memory), .def = "0", .min = 0, .max = 1024 * TIB,
     .env = "HEARTH_MEMORY", .help = "for all models together; 0: by the machine"},
    {.name = "models.kv_memory", .type = CONFIG_BYTES, .at = AT(kv_memory), .def = "0", .min = 0,
     .max = 1024 * TIB, .env = "HEARTH_KV_MEMORY", .help = "for one model's key/value cache; 0: by the machine"},
    {.name = "models.keep_alive", .type = CONFIG_KEEP, .at = AT(keep_alive_ns), .def = "5m",
     .env = "HEARTH_KEEP_ALIVE", .ollama = "OLLAMA_KEEP_ALIVE",
     .help = "how long a model stays after its last request; -1: for ever"},
    {.name = "models.load_timeout", .type = CONFIG_SECONDS, .at = AT(load_timeout_s), .def = "5m", .min = 1,
     .max = 86400, .env = "HEARTH_LOAD_TIMEOUT", .ollama = "OLLAMA_LOAD_TIMEOUT", .help = "that a request waits for its model"},
    {.name = "models.threads", .type = CONFIG_INT, .at = AT(n_thread), .def = "0", .min = 0, .max = 256,
     .env = "HEARTH_THREADS", .help = "that compute; 0: by the machine"},
    {.name = "models.parallel", .type = CONFIG_INT, .at = AT(n_parallel), .def = "0", .min = 0,
     .max = PARALLEL_MAX, .env = "HEARTH_PARALLEL", .ollama = "OLLAMA_NUM_PARALLEL",
     .help = "texts that a model writes at once; 0: 16"},
    {.name = "models.context", .type = CONFIG_INT, .at = AT(n_ctx), .def = "0", .min = 0, .max = CONTEXT_MAX,
     .env = "HEARTH_CONTEXT", .ollama = "OLLAMA_CONTEXT_LENGTH",
     .help = "tokens of a text whose request asks for no others; 0: what the model was trained for"},
    {.name = "models.kv", .type = CONFIG_CHOICE, .at = AT(kv), .def = "f16", .choices = KV_TYPES,
     .env = "HEARTH_KV", .ollama = "OLLAMA_KV_CACHE_TYPE", .help = "type of the key/value cache"},
    {.name = "models.lookup", .type = CONFIG_INT, .at = AT(lookup), .def = "8", .min = 0, .max = 64,
     .env = "HEARTH_LOOKUP", .help = "tokens guessed ahead from the text, where that pays; 0: none"},
    {.name = "models.kv_disk", .type = CONFIG_PATH, .at = AT(kv_disk), .env = "HEARTH_KV_DISK",
     .help = "directory that keeps computed prompts over restarts"},
    {.name = "models.kv_disk_size", .type = CONFIG_BYTES, .at = AT(kv_disk_bytes), .def = "16GiB", .min = 1048576,
     .max = 1024 * TIB, .env = "HEARTH_KV_DISK_SIZE", .help = "most bytes in it"},
    {.name = "models.share_prefixes", .type = CONFIG_FLAG, .at = AT(share_prefixes), .def = "false",
     .env = "HEARTH_SHARE_PREFIXES",
     .help = "clients share what was computed for equal beginnings; false: each key, or address, has its own"},
    {.name = "models.pack_cache", .type = CONFIG_PATH, .at = AT(pack_cache), .env = "HEARTH_PACK_CACHE",
     .help = "directory that keeps weights in this machine's layout"},

    {.name = "log.level", .type = CONFIG_LEVEL, .at = AT(log_level), .def = "warn",
     .choices = "error|warn|info|debug", .env = "HEARTH_LOG_LEVEL", .help = "info has a line for each request"},
    {.name = "log.json", .type = CONFIG_FLAG, .at = AT(log_json), .def = "false", .env = "HEARTH_LOG_JSON",
     .help = "each line is an object of JSON, with its time"},

    {.name = "responses.path", .type = CONFIG_PATH, .at = AT(responses), .choices = "none", .env = "HEARTH_RESPONSES",
     .help = "database of /v1/responses; unset: below the user's state; none: nothing is kept"},
    {.name = "responses.size", .type = CONFIG_BYTES, .at = AT(responses_bytes), .def = "1GiB", .min = 0,
     .max = 1024 * TIB, .env = "HEARTH_RESPONSES_SIZE",
     .help = "most bytes of them; the oldest go first; 0: no limit"},
    {.name = "responses.keep", .type = CONFIG_AGE, .at = AT(responses_ttl_s), .def = "720h", .min = 0,
     .max = 100 * YEAR_S, .env = "HEARTH_RESPONSES_KEEP", .help = "how long they are kept"},
};

const struct config_row config_model_rows[] = {
    {.name = "context", .type = CONFIG_INT, .at = M_AT(n_ctx), .min = 1, .max = CONTEXT_MAX,
     .help = "tokens of a text whose request asks for no others"},
    {.name = "parallel", .type = CONFIG_INT, .at = M_AT(n_parallel), .min = 1, .max = PARALLEL_MAX,
     .help = "texts at once"},
    {.name = "kv", .type = CONFIG_CHOICE, .at = M_AT(kv), .choices = KV_TYPES, .help = "type of its key/value cache"},
    {.name = "kv_k", .type = CONFIG_CHOICE, .at = M_AT(kv_k), .choices = KV_TYPES, .help = "of keys alone"},
    {.name = "kv_v", .type = CONFIG_CHOICE, .at = M_AT(kv_v), .choices = KV_TYPES, .help = "of values alone"},
    {.name = "draft", .type = CONFIG_TEXT, .at = M_AT(draft), .help = "a model that guesses ahead"},
    {.name = "lookup", .type = CONFIG_INT, .at = M_AT(lookup), .min = 0, .max = 64,
     .help = "tokens guessed ahead from the text"},
    {.name = "keep_alive", .type = CONFIG_KEEP, .at = M_AT(keep_alive_ns), .help = "after its last request"},
    {.name = "pin", .type = CONFIG_FLAG, .at = M_AT(pin), .help = "never unloaded, and loaded at the start (not by \"*\")"},
    {.name = "priority", .type = CONFIG_INT, .at = M_AT(priority), .min = -1000, .max = 1000,
     .help = "lower ones leave first when memory is short"},
};
/* clang-format on */

const int config_n_row = (int)(sizeof(config_rows) / sizeof(config_rows[0]));
const int config_n_model_row = (int)(sizeof(config_model_rows) / sizeof(config_model_rows[0]));
