package dev.twinsync.delivery;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.InvalidSetting;
import dev.twinsync.capture.Clocks;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.record.Canonical;
import dev.twinsync.record.Json;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Base64;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.camel.Exchange;
import org.apache.camel.Message;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;
import org.springframework.web.util.UriUtils;

/** What every call to the mini-program's API has in common: key, signature, and what counts as an answer. */
@Component("miniProgram")
public class MiniProgram {

    private final String key;
    private final byte[] secret;
    private final Clocks clocks;

    MiniProgram(
            @Value("${twinsync.mini.api-key}") String key,
            @Value("${twinsync.mini.signing-secret:}") String secret,
            Clocks clocks) {
        this.key = key;
        this.clocks = clocks;
        this.secret = secret.isBlank() ? null : decoded(secret.strip());
    }

    private static byte[] decoded(String secret) {
        try {
            byte[] bytes = secret.startsWith("whsec_")
                    ? Base64.getDecoder().decode(secret.substring("whsec_".length()))
                    : new byte[0];
            if (bytes.length > 0) {
                return bytes;
            }
        } catch (IllegalArgumentException e) {
            // told below
        }
        throw new InvalidSetting("MINI_SIGNING_SECRET: write whsec_ and the secret in Base64");
    }

    /** Turns mini_path, mini_query and the body into the request, with nothing else of the message. */
    public void prepare(Exchange exchange) throws GeneralSecurityException {
        Message in = exchange.getMessage();
        String path = in.getHeader("mini_path", String.class);
        String query = in.getHeader("mini_query", String.class);
        String idempotency = in.getHeader("idempotency_key", String.class);
        String match = in.getHeader("if_match", String.class);
        boolean guarded = in.getHeaders().containsKey("if_match");
        Object body = in.getBody();
        exchange.setProperty("mini_array", path.startsWith("/digests"));
        in.removeHeaders("*");
        in.setHeader(Exchange.HTTP_PATH, UriUtils.encodePath(path, StandardCharsets.UTF_8));
        if (query != null) {
            in.setHeader(Exchange.HTTP_RAW_QUERY, query);
        }
        in.setHeader("Authorization", "Bearer " + key);
        in.setHeader("Accept", "application/json");
        if (body == null) {
            in.setHeader(Exchange.HTTP_METHOD, "GET");
            exchange.setProperty("mini_get", true);
        } else {
            byte[] bytes = in.getBody(byte[].class);
            in.setBody(bytes);
            in.setHeader(Exchange.HTTP_METHOD, "POST");
            in.setHeader(Exchange.CONTENT_TYPE, "application/json");
            if (idempotency != null) {
                in.setHeader("Idempotency-Key", idempotency);
            }
            if (guarded) {
                in.setHeader(match == null ? "If-None-Match" : "If-Match", match == null ? "*" : '"' + match + '"');
            }
            if (secret != null) {
                sign(in, bytes);
            }
        }
        exchange.setProperty("mini_began", Instant.now());
    }

    /** Standard Webhooks: HMAC-SHA256 over id, time and the raw body. */
    private void sign(Message in, byte[] body) throws GeneralSecurityException {
        String id = "msg_" + UUID.randomUUID();
        String time = String.valueOf(Instant.now().getEpochSecond());
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret, "HmacSHA256"));
        mac.update((id + '.' + time + '.').getBytes(StandardCharsets.UTF_8));
        in.setHeader("webhook-id", id);
        in.setHeader("webhook-timestamp", time);
        in.setHeader("webhook-signature", "v1," + Base64.getEncoder().encodeToString(mac.doFinal(body)));
    }

    /**
     * Makes the answer JSON. A record that isn't there is a null body.
     *
     * @throws CallFailed for every other answer that is no success
     */
    public void check(Exchange exchange) {
        Message out = exchange.getMessage();
        int status = out.getHeader(Exchange.HTTP_RESPONSE_CODE, 0, Integer.class);
        date(out.getHeader("Date", String.class), exchange.getProperty("mini_began", Instant.class));
        byte[] bytes = out.getBody(byte[].class);
        JsonNode json = null;
        try {
            json = bytes == null || bytes.length == 0 ? null : Json.tolerant(bytes);
        } catch (IllegalArgumentException e) {
            if (status >= 200 && status < 300) {
                throw new CallFailed(0, "the answer is not JSON", null, null, null);
            }
        }
        if (status >= 200 && status < 300) {
            boolean array = Boolean.TRUE.equals(exchange.getProperty("mini_array"));
            if (array && (json == null || !json.isArray())) {
                throw new CallFailed(0, "the answer is no JSON array", null, null, null);
            }
            if (!array && !(json instanceof ObjectNode)) {
                throw new CallFailed(0, "the answer is no JSON object", null, null, null);
            }
            if (exchange.getProperty("mini_get") != null) {
                digest(json);
                json.path("items").forEach(MiniProgram::digest);
            }
            out.removeHeaders("*");
            out.setBody(json);
            return;
        }
        boolean told = json != null && json.isObject();
        // a record that isn't there is told by the backend; a path that isn't there, by whoever stands before it
        if (status == 404 && told && exchange.getProperty("mini_get") != null) {
            out.setBody(null);
            return;
        }
        throw new CallFailed(
                status,
                told ? json.path("message").asText("HTTP " + status) : "HTTP " + status,
                retryAfter(out.getHeader("Retry-After", String.class)),
                told ? json.path("code").asText(null) : null,
                told ? json.path("field").asText(null) : null);
    }

    /** Tells each record's digest: it is over the record as it came, and what comes next may map it. */
    private static void digest(JsonNode json) {
        if (json instanceof ObjectNode item
                && item.path("id").isTextual()
                && item.path("data").isObject()) {
            boolean deleted = item.path("deleted").asBoolean(false);
            item.put("digest", Canonical.digest(item.path("id").asText(), deleted, item.path("data")));
        }
    }

    private void date(String date, Instant began) {
        if (date == null || began == null) {
            return;
        }
        try {
            Instant said = ZonedDateTime.parse(date, DateTimeFormatter.RFC_1123_DATE_TIME)
                    .toInstant()
                    .plusMillis(500);
            // the header has whole seconds
            clocks.measured("mini", said, began, Instant.now(), Duration.ofMillis(1500));
        } catch (DateTimeException e) {
            // a date that is none measures nothing
        }
    }

    private static Duration retryAfter(String text) {
        try {
            return text == null ? null : Duration.ofSeconds(Math.max(0, Long.parseLong(text.strip())));
        } catch (NumberFormatException e) {
            return null;
        }
    }
}
