package dev.twinsync.console;

import dev.twinsync.capture.CaptureSchemes;
import dev.twinsync.operations.Flows;
import dev.twinsync.record.Schemas;
import java.security.Principal;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.stream.Collectors;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.servlet.mvc.support.RedirectAttributes;

/** Each flow, where it stands and how it fares, the way of a change through all of them, and how changes are learned. */
@Controller
class FlowsPage {

    /**
     * How a system's changes are learned.
     *
     * @param others what it can be switched to
     */
    public record Captured(String system, CaptureSchemes.Scheme scheme, List<String> others) {}

    private final Flows flows;
    private final CaptureSchemes schemes;
    private final Diagram diagram;
    private final Schemas schemas;
    private final Show show;

    FlowsPage(Flows flows, CaptureSchemes schemes, Diagram diagram, Schemas schemas, Show show) {
        this.flows = flows;
        this.schemes = schemes;
        this.diagram = diagram;
        this.schemas = schemas;
        this.show = show;
    }

    @GetMapping("/console/flows")
    String flows(Model page) {
        List<Flows.Flow> all = flows.all();
        page.addAttribute(
                "folders",
                all.stream()
                        .collect(Collectors.groupingBy(Flows.Flow::folder, LinkedHashMap::new, Collectors.toList())));
        page.addAttribute("diagram", diagram.lanes(all));
        page.addAttribute("schemas", schemas);
        page.addAttribute(
                "captured", schemes.systems().stream().map(this::captured).toList());
        return "flows";
    }

    /** The part of the page that refreshes itself. */
    @GetMapping("/console/flows/diagram")
    String diagram(Model page) {
        page.addAttribute("diagram", diagram.lanes(flows.all()));
        return "diagram :: svg";
    }

    @PostMapping("/console/flows/{flow}/{act:stop|pause|start}")
    String act(
            @PathVariable String flow,
            @PathVariable String act,
            @RequestParam(defaultValue = "") String reason,
            Principal person,
            RedirectAttributes told) {
        show.needed(reason);
        try {
            switch (act) {
                case "stop" -> flows.put(flow, "stopped", person.getName(), reason);
                case "pause" -> flows.put(flow, "paused", person.getName(), reason);
                default -> flows.start(flow, person.getName(), reason);
            }
            told.addFlashAttribute("done", show.text("flow." + act + ".done", flow));
        } catch (Flows.Refused refused) {
            told.addFlashAttribute("refused", show.told(refused.getMessage()));
        }
        return "redirect:/console/flows#" + flow;
    }

    private Captured captured(String system) {
        CaptureSchemes.Scheme scheme = schemes.of(system);
        return new Captured(
                system,
                scheme,
                schemes.choices(system).stream()
                        .filter(one -> !one.equals(scheme.scheme()))
                        .toList());
    }

    /** @param scheme empty: the environment decides again */
    @PostMapping("/console/capture/{system}")
    String capture(
            @PathVariable String system,
            @RequestParam(defaultValue = "") String scheme,
            @RequestParam(defaultValue = "") String reason,
            Principal person,
            RedirectAttributes told) {
        show.needed(reason);
        if (!schemes.systems().contains(system)) {
            throw new NoSuchElementException(system);
        }
        try {
            if (scheme.isEmpty()) {
                schemes.forget(system, person.getName(), reason);
            } else {
                schemes.set(system, scheme, person.getName(), reason);
            }
            told.addFlashAttribute("done", show.text("capture.done", show.word("system." + system)));
        } catch (CaptureSchemes.Refused refused) {
            told.addFlashAttribute("refused", show.text("capture.refused", show.told(refused.getMessage())));
        }
        return "redirect:/console/flows#capture";
    }
}
