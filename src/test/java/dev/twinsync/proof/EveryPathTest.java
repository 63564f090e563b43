package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Neighbours;
import java.net.URI;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.web.bind.annotation.RequestMethod;
import org.springframework.web.servlet.HandlerMapping;
import org.springframework.web.servlet.handler.AbstractUrlHandlerMapping;
import org.springframework.web.servlet.mvc.method.RequestMappingInfo;
import org.springframework.web.servlet.mvc.method.RequestMappingInfoHandlerMapping;

/** Whatever is mapped, by whomever, on either port: without a right there is no answer. */
class EveryPathTest {

    /** What anyone may see: how to sign in, how it looks, and how the API is spoken. */
    private static final Set<String> OPEN =
            Set.of("GET /login", "GET /openapi.yaml", "GET /assets/x", "GET /webjars/x", "GET /favicon.ico");

    private final ConfigurableApplicationContext service = Neighbours.get().service();
    private final Caller caller = new Caller(service);

    private Set<String> mapped() {
        Set<String> mapped = new TreeSet<>();
        for (HandlerMapping mapping :
                service.getBeansOfType(HandlerMapping.class).values()) {
            if (mapping instanceof RequestMappingInfoHandlerMapping methods) {
                methods.getHandlerMethods().keySet().forEach(info -> mapped.addAll(calls(info)));
            } else if (mapping instanceof AbstractUrlHandlerMapping urls) {
                urls.getHandlerMap().keySet().forEach(pattern -> mapped.add("GET " + sample(pattern)));
            }
        }
        return mapped;
    }

    private static List<String> calls(RequestMappingInfo info) {
        Set<RequestMethod> verbs = info.getMethodsCondition().getMethods();
        List<String> calls = new ArrayList<>();
        for (String pattern : info.getPatternValues()) {
            for (RequestMethod verb : verbs.isEmpty() ? Set.of(RequestMethod.values()) : verbs) {
                calls.add(verb + " " + sample(pattern));
            }
        }
        return calls;
    }

    private static String sample(String pattern) {
        return pattern.replace("sync_{entity}_data", "sync_user_data")
                .replaceAll("\\{plural[^}]*\\}", "users")
                .replaceAll("\\{[^{}]*\\}", "987654321")
                .replaceAll("\\*+", "x");
    }

    private HttpResponse<String> call(String key, String mapped) throws Exception {
        String[] parts = mapped.split(" ");
        return caller.send(caller.request(key, parts[1])
                .header("Content-Type", "application/json")
                .method(parts[0], BodyPublishers.ofString("{}")));
    }

    /** The paths as people disguise them, so that a rule by prefix does not see them for what they are. */
    private static List<String> disguised(String mapped) {
        String[] parts = mapped.split(" ");
        String verb = parts[0] + ' ';
        if (parts[1].length() == 1) {
            return List.of(mapped, verb + "//", verb + "/assets/../");
        }
        return List.of(
                mapped,
                verb + parts[1] + '/',
                verb + '/' + parts[1],
                verb + "/assets/.." + parts[1],
                verb + "/login/.." + parts[1],
                verb + parts[1] + ";a=b",
                verb + parts[1] + "?access_token=ops-key&key=ops-key&Authorization=Bearer%20ops-key",
                verb + parts[1] + ".json",
                verb + parts[1].replaceFirst("/(.)", "/%" + Integer.toHexString(parts[1].charAt(1))));
    }

    @Test
    void withoutARightNothingThatIsMappedAnswers() throws Exception {
        Set<String> mapped = mapped();
        assertThat(mapped).hasSizeGreaterThan(40).contains("POST /sync_user_data", "GET /dead-letters", "GET /console");
        List<String> breaches = new ArrayList<>();
        for (String one : mapped) {
            if (OPEN.contains(one)) {
                continue;
            }
            for (String path : disguised(one)) {
                for (String key : path.equals(one) ? new String[] {null, "wrong"} : new String[] {null}) {
                    HttpResponse<String> answer = call(key, path);
                    boolean refused = answer.statusCode() >= 400 && answer.statusCode() < 500
                            || answer.statusCode() == 302
                                    && answer.headers()
                                            .firstValue("Location")
                                            .orElse("")
                                            .contains("/login");
                    if (!refused) {
                        breaches.add(path + ' ' + key + " -> " + answer.statusCode());
                    }
                }
            }
        }
        assertThat(breaches).isEmpty();
    }

    @Test
    void whatTheManagementPortListsIsForOps() throws Exception {
        JsonNode links = caller.json("ops-key", "/actuator").path("_links");
        assertThat(links.size()).isGreaterThan(1);
        for (JsonNode link : links) {
            String path = URI.create(link.path("href").asText().replaceAll("\\{[^}]*}", "x"))
                    .getPath();
            if (path.contains("/health")) {
                continue;
            }
            assertThat(caller.get(null, path).statusCode()).as(path).isEqualTo(401);
            assertThat(caller.get("app-key", path).statusCode()).as(path).isIn(403, 404);
        }
    }
}
