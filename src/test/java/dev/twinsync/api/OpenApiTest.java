package dev.twinsync.api;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Neighbours;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.springframework.http.server.PathContainer;
import org.springframework.web.bind.annotation.RequestMethod;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.servlet.mvc.method.RequestMappingInfo;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerMapping;
import org.springframework.web.util.pattern.PathPattern;

/** The document says what of the API is there, neither more nor less; the console's pages are no API. */
class OpenApiTest {

    private final RequestMappingHandlerMapping mapping =
            Neighbours.get().service().getBean("requestMappingHandlerMapping", RequestMappingHandlerMapping.class);

    private PathPattern serving(RequestMethod method, String path) {
        PathPattern best = null;
        for (RequestMappingInfo info : mapping.getHandlerMethods().keySet()) {
            if (info.getPathPatternsCondition() == null
                    || !info.getMethodsCondition().getMethods().contains(method)) {
                continue;
            }
            for (PathPattern pattern : info.getPathPatternsCondition().getPatterns()) {
                if (pattern.matches(PathContainer.parsePath(path))
                        && (best == null || PathPattern.SPECIFICITY_COMPARATOR.compare(pattern, best) < 0)) {
                    best = pattern;
                }
            }
        }
        return best;
    }

    @Test
    void theDocumentNamesAllPathsThatAreServedAndNoOther() throws Exception {
        var answer = new Caller(Neighbours.get().service()).get(null, "/openapi.yaml");
        assertThat(answer.statusCode()).isEqualTo(200);
        JsonNode document = new ObjectMapper(new YAMLFactory()).readTree(answer.body());
        Set<String> served = new HashSet<>();
        Set<String> breaches = new TreeSet<>();
        document.path("paths")
                .properties()
                .forEach(path -> path.getValue().properties().forEach(operation -> {
                    RequestMethod method =
                            RequestMethod.valueOf(operation.getKey().toUpperCase(Locale.ROOT));
                    String sample = path.getKey()
                            .replace("{system}", "app")
                            .replace("{entities}", "orders")
                            .replaceAll("\\{[^}]*\\}", "1");
                    PathPattern pattern = serving(method, sample);
                    if (pattern == null) {
                        breaches.add(method + " " + path.getKey() + " is in openapi.yaml and is not served");
                    } else {
                        served.add(method + " " + pattern);
                    }
                    if (!operation.getValue().path("summary").isTextual()
                            || operation.getValue().path("responses").isEmpty()) {
                        breaches.add(method + " " + path.getKey() + " has no summary or no responses");
                    }
                }));
        mapping.getHandlerMethods().forEach((info, handler) -> {
            if (handler.getBeanType().isAnnotationPresent(RestController.class)
                    && info.getPathPatternsCondition() != null) {
                info.getPathPatternsCondition().getPatterns().forEach(pattern -> info.getMethodsCondition()
                        .getMethods()
                        .forEach(method -> {
                            if (!served.contains(method + " " + pattern)) {
                                breaches.add(method + " " + pattern + " is served and is not in openapi.yaml");
                            }
                        }));
            }
        });
        assertThat(breaches).isEmpty();
        assertThat(served).hasSizeGreaterThan(10);
    }
}
